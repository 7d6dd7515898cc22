# Everything lives in .venv; nothing is assumed but python3.11+ and make. `make help` lists the commands.
PYTHON ?= python3
UV_VERSION := 0.13.8
BIN := .venv/bin
UV := .venv/tools/uv-$(UV_VERSION)/bin/uv
SYNC := $(UV) sync --quiet --locked --inexact --python $(BIN)/python
export UV_PROJECT_ENVIRONMENT := .venv
export UV_PYTHON_DOWNLOADS := never
export PYTHONPATH := .

.PHONY: help install develop run test check bench torture openapi clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

$(UV):
	@$(PYTHON) scripts/bootstrap.py $(UV_VERSION)

.venv/runtime.stamp: $(UV) pyproject.toml uv.lock
	@$(SYNC) --no-dev
	@touch $@

.venv/dev.stamp: $(UV) pyproject.toml uv.lock
	@$(SYNC)
	@touch .venv/runtime.stamp $@

install: .venv/runtime.stamp ## what the server needs

develop: .venv/dev.stamp ## what the tests and checks need, too

run: .venv/runtime.stamp ## a working chat on 127.0.0.1:8000, no services, no key
	@$(BIN)/baton serve

test: .venv/dev.stamp ## installs everything and passes the tests
	@scripts/services.sh test
	@$(BIN)/pytest -n 2 --dist worksteal --ignore tests/torture
	@$(BIN)/pytest tests/torture # by itself: its clients take both cores

check: .venv/dev.stamp ## ruff, pyright, import-linter, deptry, style tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/deptry app
	@$(BIN)/pytest tests/style -q

bench: .venv/dev.stamp ## the table of ratios against floors; exits non-zero on a missed target
	@$(BIN)/python -m tests.bench

torture: .venv/dev.stamp ## the torture test at length: three times the clients, for a minute per store
	@scripts/services.sh test
	@BATON_TEST_TORTURE_FAST=60 BATON_TEST_TORTURE_SLOW=600 BATON_TEST_TORTURE_SECONDS=60 \
		$(BIN)/pytest tests/torture --timeout 900 -p no:randomly -s

openapi: .venv/dev.stamp ## writes openapi.json anew
	@$(BIN)/python -m app openapi > openapi.json

clean: ## removes the environment
	rm -rf .venv
