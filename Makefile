# Everything runs in .venv, which any target makes by itself.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch
BIN := $(VENV)/bin
# what the container image installs beside the base
EXTRAS := code,irc,mail,matrix,postgres,slack,telegram,xmpp

comma := ,
# Containers often switch byte code off; then each process that a test starts would compile the whole project again.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help install chat router graph test test-apart test-all transformers lint format type check docs reference pictures bench lock audit sbom clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.base: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	@echo "Installing Qwendesk into $(VENV) (about a minute) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

install: $(VENV)/.base ## Install Qwendesk into .venv
	@echo "Run 'source $(BIN)/activate' to have the command qwendesk on your path."

chat: $(VENV)/.base ## Talk with a Qwen model; the first time downloads a small one (480 MB)
	@$(BIN)/qwendesk chat

router: $(VENV)/.base ## Train both routers on their public questions and write their artefacts
	$(BIN)/python -m qwendesk.routing.training.train
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[accurate]'
	$(BIN)/python -m qwendesk.routing.training.train --accurate

graph: $(VENV)/.dev ## Draw the graph of a turn into docs/explanation/architecture.md
	$(BIN)/python -m tests.agents.graph_picture

# what needs another program's server, a browser, or long
APART := server or ollama or browser or chaos or slow
# a file's tests stay in one process, since they share servers and models; the files are in the order of tests/conftest.py
PYTEST := $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder

test: $(VENV)/.dev ## Run the tests that need no server and no browser, also those on the real model (fetched once)
	$(PYTEST) -m "not ($(APART))"

test-apart: $(VENV)/.dev ## Run the other tests: servers, browser, chaos, slow ones
	$(PYTEST) -m "$(APART)"

test-all: export QWENDESK_ALL_EXAMPLES = 1
test-all: $(VENV)/.dev ## Run all tests, with all examples of the property tests, and show which lines they reach
	$(PYTEST) --cov=qwendesk --cov-report= -m "not ($(APART))"
	$(PYTEST) --cov=qwendesk --cov-append --cov-report=term:skip-covered -m "$(APART)"

$(VENV)/.hf: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(TORCH)' --editable '.[transformers]'
	@touch $@

transformers: $(VENV)/.hf ## Test the transformers engine too (installs torch: TORCH=torch==2.13.0)
	$(BIN)/python -m pytest tests/engines tests/conformance -k "hf or transformers or Transformers or pictures or audio or media or Media"

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

docs: $(VENV)/.dev ## Serve the documentation on http://localhost:8000
	$(BIN)/zensical serve

reference: $(VENV)/.dev ## Write the generated pages of docs/reference from the code
	$(BIN)/python .ci/reference.py

pictures: $(VENV)/.dev ## Take the README's pictures (needs Chromium and the starter model)
	$(BIN)/python .ci/pictures.py

bench: $(VENV)/.dev ## Measure what the README and docs claim
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.turn
	$(BIN)/python -m benchmarks.files
	$(BIN)/python -m benchmarks.desk --quick
	$(BIN)/python -m benchmarks.escapes --quick
	$(BIN)/python -m benchmarks.threads
	$(BIN)/python -m benchmarks.routing
	$(BIN)/python -m benchmarks.engines --quick

lock: $(VENV)/.dev ## Pin the image's dependencies by version and hash in requirements.lock
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --custom-compile-command 'make lock' $(foreach e,$(subst $(comma), ,$(EXTRAS)),--extra $(e)) --upgrade -o requirements.lock

audit: $(VENV)/.dev ## Look up known vulnerabilities of the locked dependencies, where the service is reached
	@$(BIN)/python .ci/audit.py

sbom: $(VENV)/.dev ## Write sbom.json, a CycloneDX list of what the image installs
	$(BIN)/cyclonedx-py requirements requirements.lock --output-reproducible --output-file sbom.json

clean: ## Remove .venv and what tools left behind
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
