# Two commands to start: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

export HF_HUB_DISABLE_TELEMETRY := 1
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo demo-ner demo-pretrain test test-oldest stress bench lint check docs format clean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed ## Make .venv and install hf_ext with the demo data into it

$(VENV)/installed: setup.cfg constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing torch and the rest into $(VENV) (a few minutes the first time)"
	$(PIP_INSTALL) torch
	$(PIP_INSTALL) -e ".[demo]"
	@touch $@

install-dev: $(VENV)/installed-dev ## The same, with what tests and checks need

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP_INSTALL) -e ".[demo,dev]"
	@touch $@

demo: install ## Train, evaluate and predict on real Chinese reviews, in a few minutes
	$(BIN)/python run_classification.py examples/demo.yaml --overwrite_output_dir

demo-ner: install ## Train a tagger of names in Chinese news, evaluate and predict
	$(BIN)/python run_ner.py examples/ner_demo.yaml --overwrite_output_dir

demo-pretrain: install ## Pretrain a small model from scratch on real Chinese reviews
	$(BIN)/python run_continue_pretrain.py examples/pretrain_demo.yaml --overwrite_output_dir

test: install-dev ## Run the tests
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

$(OLDEST)/installed: setup.cfg constraints-oldest.txt
	@test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt torch
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt \
		-e . hypothesis peft pytest pytest-xdist
	@touch $@

test-oldest: $(OLDEST)/installed ## The quick tests of models, data and training with the oldest supported versions
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -n auto --dist loadfile \
		-m "not slow and not stress" tests/models tests/data tests/training

stress: install-dev ## Kill points, damage, several processes, thousands of broken files; prints how many
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m "stress or promise"

bench: install-dev ## Run the benchmarks, short, and write their tables into docs/benchmarks.md
	$(BIN)/python benchmarks/run_all.py

lint: install-dev ## Format, lint, types, import floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## All of lint, then the tests

docs: install-dev ## Build the documentation as a web site into outputs/site
	$(BIN)/mkdocs build --strict

format: install-dev ## Put the code into the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove what the targets made
	rm -rf $(VENV) $(OLDEST) outputs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
