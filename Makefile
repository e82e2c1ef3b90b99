# Bezant's few commands. `make` alone lists them.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
STAMP := .venv/.installed
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(LOCK_ARGS)

.DEFAULT_GOAL := help
.PHONY: help setup demo test services check format bench lock

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with everything pinned; .venv/bin/bezant is the command

$(STAMP): requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer with venv found; set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## Database, API, worker and PSP simulator with realistic checkouts: make demo ARGS="--payments 200"
	$(BIN)/bezant demo $(ARGS)

test: setup ## All tests, in parallel, on their own PostgreSQL: make test ARGS="tests/ledger -k balance"
	@.ci/servers || echo "tests that need them will fail" >&2
	$(BIN)/pytest -q -n auto $(ARGS)

services: setup ## Kafka and RabbitMQ for development and tests; prints their settings: make services ARGS=down
	@.ci/servers
	@$(BIN)/python -m tests.support.brokers $(or $(ARGS),up)

check: setup ## Format, lint, types, import contracts, SQL style, known vulnerabilities
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --disable-progress-bar migrations
	$(BIN)/basedpyright
	$(BIN)/python .ci/audit

format: setup ## Format the code and mend what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfluff fix --disable-progress-bar migrations

bench: setup ## Payments and ledger per second, against pgbench on the same database: make bench ARGS="ledger --json"
	$(BIN)/bezant bench $(ARGS)

lock: setup ## Pin every dependency anew (LOCK_ARGS=--upgrade for the newest)
	$(COMPILE) pyproject.toml -o requirements.txt
	$(COMPILE) -c requirements.txt --group dev pyproject.toml -o requirements-dev.txt
