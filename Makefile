# Each target makes .venv when it is missing; a re-run installs nothing unless pyproject.toml or constraints.txt changed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
# Tests run side by side and start processes of their own: threads that spin while they wait would slow the others down.
test test-all: export OMP_WAIT_POLICY ?= PASSIVE
# Properties are tried on 40 examples where somebody waits, and on 200 before a release.
test-all: export RLENVS_EXAMPLES ?= thorough

.PHONY: train test test-all check format clean help

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-run: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[llm,report]'
	@touch $@

$(VENV)/.installed-all: $(VENV)/.installed-dev
	$(PIP) -e '.[dev,reasoning,datasets]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.installed-run

train: $(VENV)/.installed-run ## warm-start the embedded policy and train it with PPO (minutes on 2 cores)
	@$(BIN)/rlenvs train

test: $(VENV)/.installed-dev ## the fast suite and the slow tests chosen for CI
	$(BIN)/python -m pytest -n auto -m 'not slow'
	$(BIN)/python -m pytest -n auto -m 'slow and ci'

test-all: $(VENV)/.installed-all ## every test, the slow ones too; reasoning-gym needs a C compiler
	$(BIN)/python -m pytest -n auto -m 'not slow'
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.installed-dev ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p rlenvs

format: $(VENV)/.installed-dev ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build dist
