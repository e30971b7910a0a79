# Each target does its own set-up; only Python 3.11 or newer, make and a compiler are needed.
.DEFAULT_GOAL := help
.PHONY: help demo test dev lint bench install clean

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
RETAIL_HOME ?= $(CURDIR)/.retail
export RETAIL_HOME

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Run the whole chain on the simulated retailer and print the summary
	@$(BIN)/retail sandbox demo

test: $(VENV)/.installed-dev ## Run all tests
	@$(BIN)/python -m pytest

dev: $(VENV)/.installed ## Open the Dagster UI, with daemon, on the same state
	@$(BIN)/retail dev

lint: $(VENV)/.installed-dev ## Run all linters and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/pyright
	$(BIN)/sqlfluff lint --config dbt_project/.sqlfluff dbt_project/models dbt_project/tests

bench: $(VENV)/.installed-dev ## Measure speed against named baselines (ONLY=<name> for one)
	@$(BIN)/python -m benchmarks.run $(if $(ONLY),--only $(ONLY))

install: $(VENV)/.installed ## Only set up the virtual environment

clean: ## Remove all state of the demo (RETAIL_HOME) and the virtual environment
	rm -rf "$(RETAIL_HOME)" $(VENV)

$(VENV)/.uv:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed: none was found on the PATH" >&2; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

$(VENV)/.installed: $(VENV)/.uv requirements.lock pyproject.toml
	@echo "Installing the pinned requirements …"
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirement requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "Installing what the tests and linters need …"
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirement requirements-dev.lock
	@touch $@
