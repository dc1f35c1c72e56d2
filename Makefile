# `make train` and `make test` need python3 with venv, and nothing else.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/installed
# Compiled files are kept: the tests start many processes, each of which would compile anew.
export PYTHONDONTWRITEBYTECODE :=

TESTS := $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not peer"

.PHONY: train test bench lint types unit coverage peers pythons docs format clean

$(STAMP): requirements.lock requirements-no-deps.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-no-deps.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

train: $(STAMP)  ## train the digits classifier and check that applied == planned
	$(BIN)/python examples/train_digits.py

bench: $(STAMP)  ## measures ours against the limit and the peers: a table, JSON and a plot in runs/benchmarks
	$(BIN)/python -m benchmarks.run

# The tests take two cores; what takes one runs beside them, so that neither waits for the other.
test: $(STAMP)  ## everything that CI runs; the tests build the documentation
	$(MAKE) --no-print-directory -j 3 lint types unit pythons

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

unit: $(STAMP)
	tests/browser/install.sh
	$(TESTS) --durations=15

coverage: $(STAMP)  ## which lines the tests run: the same tests, which take a third longer so
	tests/browser/install.sh
	$(TESTS) --cov --cov-report=term

peers: $(STAMP)  ## whether other libraries still fail where this one holds
	$(BIN)/pytest -n 2 --dist loadfile -m peer

pythons: $(STAMP)  ## the quick tests without torch, on every other Python of the machine
	VENV=$(VENV) tests/every_python.sh

docs: $(STAMP)  ## build the documentation; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) runs docs/_build docs/_generated .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
