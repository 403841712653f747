# The commands of a developer's day.  Start with `make demo`.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
WORKERS ?= auto
PAGE_LINT := tests/page-lint

.PHONY: help install dev demo demo-zh demo-ray check lint-page test test-slow client clean
.DEFAULT_GOAL := help

help:  ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

install: $(VENV)/.installed  ## the environment with the pinned dependencies; $(VENV)/bin/attendex is the command

dev: $(VENV)/.dev  ## the same, with what checks and tests need

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[documents]'
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[documents,quantize]' --group dev
	@touch $@

demo: install  ## index a real collection, evaluate it, serve it, ask it; ONCE=1 stops after the answers
	$(BIN)/python -m benchmarks.demo $(if $(ONCE),--once) $(if $(PORT),--port $(PORT))

demo-zh: install  ## index Chinese text with two encoders and compare them; brings `multilingual` to this machine
	$(BIN)/python -m benchmarks.demo.chinese_demo

demo-ray: install  ## serve four shards on a Ray cluster of two local nodes, kill a process, search on; PORT=8080
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[documents,ray]'
	$(BIN)/python -m benchmarks.demo.ray_demo $(if $(PORT),--port $(PORT))

check: dev $(if $(shell command -v npm),lint-page)  ## style and types, of Python and of the search page
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@command -v npm >/dev/null || echo "npm is missing: the modules of the search page were not linted"

lint-page: $(PAGE_LINT)/node_modules/.package-lock.json
	npm --prefix $(PAGE_LINT) run --silent lint

$(PAGE_LINT)/node_modules/.package-lock.json: $(PAGE_LINT)/package-lock.json
	npm --prefix $(PAGE_LINT) ci --ignore-scripts --silent
	@touch $@

test: dev  ## the tests, without the slow part, on all cores (WORKERS); PYTEST_ARGS are passed on
	$(BIN)/pytest -m "not slow" -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-slow: dev  ## crash storms, power cuts, fuzzing, soak
	$(BIN)/pytest -m slow

client: dev  ## the wheel of the Python client alone, in dist/
	cd service/client && $(abspath $(BIN))/hatchling build -t wheel -d $(CURDIR)/dist

clean:  ## remove everything that make can build again
	rm -rf $(VENV) $(PAGE_LINT)/node_modules .demo .mypy_cache .ruff_cache .pytest_cache
