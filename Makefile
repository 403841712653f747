# The commands of a developer's day.  `make demo` is the place to start.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: help install dev demo check test test-slow clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

install: $(VENV)/.installed  ## the environment with the pinned dependencies; $(VENV)/bin/attendex is the command

dev: $(VENV)/.dev  ## the same, with what checks and tests need

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[documents,quantize]' --group dev
	@touch $@

demo: install  ## index a real collection, evaluate it, serve it, ask it; ONCE=1 stops after the answers
	$(BIN)/python -m benchmarks.demo $(if $(ONCE),--once) $(if $(PORT),--port $(PORT))

check: dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: dev  ## the tests, without the slow part
	$(BIN)/pytest -m "not slow"

test-slow: dev  ## crash storms, fuzzing, soak
	$(BIN)/pytest -m slow

clean:  ## what can be made again
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache
