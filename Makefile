# Everything runs in .venv, which any target makes by itself.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install chat test lint format type check bench clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.base: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

install: $(VENV)/.base ## Install Qwendesk into .venv

chat: $(VENV)/.base ## Talk with a Qwen model; the first time fetches a small one (490 MB)
	@$(BIN)/qwendesk chat

test: $(VENV)/.dev ## Run all tests, also those on the real model (fetched once)
	$(BIN)/python -m pytest

lint: $(VENV)/.dev ## Check style, formatting and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: $(VENV)/.dev ## Check the types
	$(BIN)/mypy

check: lint type test ## All of lint, type and test

bench: $(VENV)/.dev ## Measure what the README and docs claim
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.turn
	$(BIN)/python -m benchmarks.threads
	$(BIN)/python -m benchmarks.engines

clean: ## Remove .venv and what tools left behind
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
