# Everything runs from a private virtual environment that this file makes; nothing is installed elsewhere, no root.
#   make demo   the whole story on the local Azure emulator
#   make test   unit, wire and system tests, lint and types
#   make sanity cores   what takes minutes and is run before a release
.DEFAULT_GOAL := help
SHELL := /bin/sh

VENV ?= .venv
# The first interpreter that is new enough for a controller.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := $(CURDIR)/$(VENV)/bin
TREE := .cache/collections/ansible_collections/azure_guest
STAMP := $(VENV)/.complete
# One of the files there is a part of another's measurement.
BENCHES := $(filter-out tests/bench/fetch_floor.py,$(sort $(wildcard tests/bench/*.py)))
# ansible-core's own commands start other commands of the virtual environment by name.
export PATH := $(BIN):$(PATH)

.PHONY: help venv demo test unit integration system cores molecule bench lint docs sanity types format clean

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

$(STAMP): requirements-dev.txt requirements-test.txt roles/emulator/files/requirements.txt Makefile
	@[ -n "$(PYTHON)" ] || { echo "make: no Python >= 3.11 with venv and ensurepip found; install one (Debian: apt install python3-venv) or run make PYTHON=/path/to/python3" >&2; exit 1; }
	"$(PYTHON)" -m venv "$(VENV)"
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@# Ansible and the tests find the checkout under its collection name: a link, and a path file that leads to it.
	mkdir -p "$(TREE)"
	ln -sfn ../../../.. "$(TREE)/imds"
	"$(BIN)/python" -c 'import pathlib, sysconfig; root = pathlib.Path.cwd(); pathlib.Path(sysconfig.get_path("purelib"), "azure_guest_imds.pth").write_text(f"{root}/.cache/collections\n{root}/roles/emulator/files\n")'
	touch "$(STAMP)"

venv: $(STAMP) ## the private virtual environment

demo: venv ## facts, inventory and a rolling round of maintenance on the emulator
	"$(BIN)/python" -m demo $(DEMO_ARGS)

test: lint types docs unit integration system ## lint, types, documentation, unit, integration and system tests

unit: venv ## unit tests, and wire tests against the emulator
	"$(BIN)/python" -m pytest tests/unit

integration: venv ## real runs of ansible and ansible-playbook against the emulator
	"$(BIN)/python" -m pytest tests/integration

system: venv ## whole fleets, on the virtual clock
	"$(BIN)/python" -m pytest tests/system

cores: venv ## the integration tests on each supported ansible-core, in virtual environments of their own
	"$(BIN)/python" tests/cores.py $(CORES)

molecule: venv ## the handler on real systemd hosts in a lab of its own; needs root and Podman, else it is skipped
	@"$(BIN)/python" extensions/molecule/lab.py check || { echo "molecule: skipped"; exit 0; }; \
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --requirement extensions/molecule/requirements.txt && \
	"$(BIN)/python" extensions/molecule/play.py $(SCENARIOS)

bench: venv ## every benchmark, one after the other; they print figures and never fail on time
	@for file in $(BENCHES); do echo; echo "== $$file"; "$(BIN)/python" "$$file" || exit 1; done

lint: venv ## style
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/yamllint" --strict .

sanity: venv ## the collection as it is published: ansible-test sanity, documentation, changelog
	"$(BIN)/python" tests/published.py

docs: venv ## the documentation of plugins, roles and guides, and the changelog
	"$(BIN)/python" tests/published.py documentation changelog

types: venv ## mypy --strict on our packages
	"$(BIN)/mypy"

format: venv ## rewrite the sources in the project's style
	"$(BIN)/ruff" check --fix .
	"$(BIN)/ruff" format .

clean: ## remove what make made
	rm -rf "$(VENV)" .cache build .mypy_cache .pytest_cache .ruff_cache
