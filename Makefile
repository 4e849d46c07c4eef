# The single customer view. `make help` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PEOPLE ?= 5000
INSTALLED := .venv/installed
export DAGSTER_HOME := $(CURDIR)
# Without bytecode every one of the processes that demo and tests start would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo dev test soak check format down clean lock

help: ## Show this help
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-9s %s\n", $$1, $$2}'

$(INSTALLED): requirements.lock pyproject.toml scripts/install.sh
	@scripts/install.sh

install: $(INSTALLED) ## Create .venv from the pinned lock

demo: $(INSTALLED) ## Start the embedded estate, seed it (PEOPLE=5000), materialise everything, show the result
	@.venv/bin/sv demo --people $(PEOPLE)

dev: $(INSTALLED) ## The estate and the Dagster UI, with schedules and sensors, on the demo's history
	@.venv/bin/sv dev

test: $(INSTALLED) ## All tests, on the embedded servers, in three processes
	@.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

soak: $(INSTALLED) ## The long versions of the tests: hundreds of kill rounds, a million rows
	@.venv/bin/python -m pytest -m soak --timeout 7200
	@.venv/bin/python -m pytest -m "hypothesis and not soak" --hypothesis-profile soak --timeout 7200

check: $(INSTALLED) ## Lint, formatting, types, import rules
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --config pyproject.toml

format: $(INSTALLED) ## Format the code
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

down: ## Stop the embedded servers (data stays)
	@if [ -x .venv/bin/sv ]; then .venv/bin/sv estate down; else echo "Nothing is installed, so nothing runs."; fi

clean: down ## Stop the servers and remove their data and the Dagster history
	rm -rf .local

lock: $(INSTALLED) ## Pin the newest allowed packages anew (needs uv)
	uv pip compile --upgrade --universal --no-strip-extras --generate-hashes --no-header --no-emit-index-url --extra local --extra dev --python-version 3.11 -o requirements.lock pyproject.toml
