# Every target makes its own virtual environment and is quick when nothing changed.
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= runs/quickstart

.PHONY: help setup setup-dev quickstart test check bench clean
help:            ## show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/:/' | column -t -s:

$(VENV)/.ready: pyproject.toml constraints.txt scripts/setup.sh
	bash scripts/setup.sh $(VENV) render
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	bash scripts/setup.sh $(VENV) render,export,cluster,hub,sign,dev
	bash scripts/test_tools.sh $(VENV)
	@touch $@

setup: $(VENV)/.ready ## make the virtual environment
setup-dev: $(VENV)/.ready-dev ## and the tools for tests and checks

quickstart: setup ## render, train, score and compare in about seven minutes
	$(BIN)/recombine quickstart --out $(OUT)

test: setup-dev ## run the test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: setup-dev ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: setup ## speed of rendering and training, as ratios measured in one run
	$(BIN)/python benchmarks/render.py
	$(BIN)/python benchmarks/train.py

clean: ## remove the environment and caches
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
