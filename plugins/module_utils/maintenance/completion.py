# Copyright (c) azure_guest.imds contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Completion scripts, generated from the command line itself."""

from __future__ import annotations

import argparse
import sys
import typing as t

_BASH = """# bash completion for azure-maintenance
_azure_maintenance() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} command="" word
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case $word in
            {names}) command=$word; break ;;
        esac
    done
    case $command in
{cases}
        *) COMPREPLY=($(compgen -W "{words}" -- "$current")) ;;
    esac
}}
complete -F _azure_maintenance azure-maintenance
"""


def command(_config: t.Any, options: argparse.Namespace) -> int:
    """Print the script."""
    words, commands = _words(options.parser())
    sys.stdout.write({"bash": _bash, "zsh": _zsh, "fish": _fish}[options.shell](words, commands))
    return 0


def _options(parser: argparse.ArgumentParser) -> list[str]:
    found: list[str] = []
    for action in parser._actions:
        found += [option for option in action.option_strings if option.startswith("--")]
        if not action.option_strings and action.choices and not isinstance(action.choices, dict):
            found += [str(choice) for choice in action.choices]
    return found


def _words(parser: argparse.ArgumentParser) -> tuple[list[str], dict[str, tuple[str, list[str]]]]:
    """The words of the command itself, and by subcommand its description and words."""
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    commands = {
        name: (str(sub.description or ""), _options(sub)) for action in actions for name, sub in action.choices.items()
    }
    return [*_options(parser), *commands], commands


def _bash(words: list[str], commands: t.Mapping[str, tuple[str, list[str]]]) -> str:
    cases = "\n".join(
        f'        {name}) COMPREPLY=($(compgen -W "{" ".join(options)}" -- "$current")) ;;'
        for name, (_text, options) in commands.items()
    )
    return _BASH.format(names="|".join(commands), cases=cases, words=" ".join(words))


def _zsh(words: list[str], commands: t.Mapping[str, tuple[str, list[str]]]) -> str:
    return "#compdef azure-maintenance\nautoload -U +X bashcompinit && bashcompinit\n" + _bash(words, commands)


def _fish(_words: list[str], commands: t.Mapping[str, tuple[str, list[str]]]) -> str:
    lines = ["# fish completion for azure-maintenance", "complete -c azure-maintenance -f"]
    for name, (text, options) in commands.items():
        lines.append(f"complete -c azure-maintenance -n __fish_use_subcommand -a {name} -d '{text}'")
        for option in options:
            word = f"-l {option[2:]}" if option.startswith("--") else f"-a {option}"
            lines.append(f"complete -c azure-maintenance -n '__fish_seen_subcommand_from {name}' {word}")
    return "\n".join(lines) + "\n"


__all__ = ["command"]
