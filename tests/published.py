"""Builds the collection and judges what users get: ``ansible-test sanity``, the documentation, the changelog.

Run as ``python tests/published.py`` from an environment with requirements-dev.txt. Everything it makes lies under
``.cache/published``; the virtual environments that ansible-test makes there are kept, so that only a first run is slow.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache" / "published"
COPY = CACHE / "ansible_collections" / "azure_guest" / "imds"
HOME = CACHE / "home"
BIN = Path(sys.executable).parent
# ansible-test fetches this script when its virtual environments have no pip. Python brings a pip along.
BOOTSTRAP = "import ensurepip\n\nensurepip.bootstrap()\n"


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def build() -> None:
    """Make the collection as it is published, and unpack it where its name says."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    run("ansible-galaxy", "collection", "build", "--force", "--output-path", str(CACHE), str(ROOT), cwd=ROOT)
    (archive,) = CACHE.glob("azure_guest-imds-*.tar.gz")
    with tarfile.open(archive) as stream:
        stream.extractall(COPY, filter="data")
    archive.unlink()
    # The checkout's own repository ignores this place, and ansible-test would believe it.
    if shutil.which("git"):
        subprocess.run(["git", "init", "--quiet", str(COPY)], check=True)
    # The linters of the changelog and of extra documentation look at the checkout's own files as well.
    shutil.copytree(ROOT / "changelogs", COPY / "changelogs", dirs_exist_ok=True)


def private_home() -> None:
    """A home directory for ansible-test, which keeps what it makes in there."""
    (HOME / ".config").mkdir(parents=True, exist_ok=True)
    configuration = Path.home() / ".config" / "pip"
    if configuration.exists() and not (HOME / ".config" / "pip").exists():
        (HOME / ".config" / "pip").symlink_to(configuration)
    found = find_spec("ansible_test._internal")
    source = Path(found.origin).with_name("python_requirements.py") if found and found.origin else None
    version = re.search(r"\bpip='([\d.]+)'", source.read_text(encoding="utf-8")) if source else None
    if version:
        script = HOME / ".ansible/test/cache" / f"get_pip_{version[1].replace('.', '_')}.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(BOOTSTRAP, encoding="utf-8")


def run(*command: str, cwd: Path = COPY, **variables: str) -> bool:
    """Run a command of this environment; its output is shown when it fails."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **variables}
    begin = time.monotonic()
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        say(done.stdout)
    say(f"{'failed' if done.returncode else 'passed'} in {time.monotonic() - begin:.0f} s: {' '.join(command[:2])}")
    return done.returncode == 0


def sanity() -> bool:
    """All of ansible-test's sanity tests; the collection has no list of exceptions."""
    private_home()
    skipped = []
    if shutil.which("pwsh") is None:
        say("skipped: pslint, which needs PowerShell (pwsh), and there is none here")
        skipped = ["--skip-test", "pslint"]
    version = "{}.{}".format(*sys.version_info)
    return run("ansible-test", "sanity", "--color", "no", "--python", version, *skipped, HOME=str(HOME))


def documentation() -> bool:
    """The documentation of plugins and roles, and the guides' references."""
    return run(
        *("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "self"),
        *("--check-extra-docs-refs", "."),
        ANSIBLE_COLLECTIONS_PATH=str(CACHE),
    )


def changelog() -> bool:
    """The changelog's fragments."""
    return run("antsibull-changelog", "lint")


def main(names: list[str]) -> int:
    """Make the copy and judge it; with names, by these only."""
    judges = {"sanity": sanity, "documentation": documentation, "changelog": changelog}
    unknown = set(names) - set(judges)
    if unknown:
        sys.exit(f"{', '.join(sorted(unknown))}: the names are {', '.join(judges)}")
    build()
    results = [judge() for name, judge in judges.items() if not names or name in names]
    return int(not all(results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
