# Every target but help and clean first makes sure that .venv exists and is current (see "env").
.DEFAULT_GOAL := help
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

VENV := .venv
PY := $(VENV)/bin/python
# The stamp names the folder it was made for: in a copied clone the editable install would still point at the original.
STAMP := $(VENV)/.installed-$(shell pwd | cksum | cut -d ' ' -f 1)

## PYTHON=...    interpreter for .venv (default: python3.11, else python3; at least 3.11)
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
## PIP_ARGS=...  more arguments for pip, e.g. --extra-index-url https://download.pytorch.org/whl/cpu (no CUDA, smaller)
PIP_ARGS ?=
## SCALE=...     paper (default) or smoke (few seeds, few steps: does everything run?)
SCALE ?= paper
## DATA=...      generated (default), snli or directory: the sentence pairs of make data
DATA ?= generated
## RECORDS=...   directory of records that make figures, publish and dashboard read (default runs)
RECORDS ?= runs
## STUDIES=...   studies that make publish publishes (modules of unibio.studies; default: all with records)
STUDIES ?=
## ARGS=...      more arguments for pytest, reproduce or bench, e.g. make test ARGS="-k epoch"
ARGS ?=

# One thread a process: the test workers and the sweeps are the parallelism.
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help env reproduce reproduce-all data figures publish test test-slow stress adversary twins slurm-test dashboard lint bench clean

help:  ## this text
	@echo "make TARGET [NAME=value ...]"; echo
	@grep -E '^[a-z-]+:.*  ## ' Makefile | sed -E 's/^([a-z-]+):.*  ## (.*)/  \1|\2/' | awk -F '|' '{ printf "%-16s%s\n", $$1, $$2 }'
	@echo; grep -E '^## ' Makefile | sed 's/^## /  /'

env: $(STAMP)  ## create .venv with the versions of constraints.txt (other targets do this by themselves)
	@echo "→ $(VENV) is ready: $$($(PY) --version), torch $$($(PY) -c 'from importlib.metadata import version; print(version("torch"))')"

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "error: unibio needs Python 3.11 or newer, but $$( \
			if [ -z "$(PYTHON)" ]; then echo "none of python3.11, python3, python3.12, python3.13 is"; \
			else echo "PYTHON=$(PYTHON) is $$("$(PYTHON)" --version 2>&1 | head -n 1)"; fi)."; \
		echo "       Install one, or name it: make PYTHON=/path/to/python3.11 ..."; exit 1; fi >&2
	@if ! $(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "→ creating $(VENV) with $$("$(PYTHON)" --version)"; \
		"$(PYTHON)" -m venv --clear $(VENV) || { echo "error: $(PYTHON) cannot create a virtual environment" \
			"(on Debian and Ubuntu: apt install python3-venv), or name another: make PYTHON=..." >&2; exit 1; }; fi
	@echo "→ installing the versions of constraints.txt into $(VENV) (a few minutes the first time)"
	@if [ -t 1 ]; then quiet=; else quiet=-q; fi; \
		$(PY) -m pip install $$quiet $(PIP_ARGS) -c constraints.txt -e ".[dev]"
	@rm -f $(VENV)/.installed-*; touch $@

reproduce: $(STAMP)  ## the paper's synthetic study: runs (only what is missing), figures, tables and results/index.html
	@echo "→ reproducing the synthetic study at scale $(SCALE) (finished runs are kept in runs/ and not repeated)"
	@$(PY) scripts/reproduce.py --scale $(SCALE) $(ARGS)

reproduce-all: $(STAMP)  ## everything that can be reproduced, not only the synthetic study
	@echo "→ reproducing everything at scale $(SCALE)"
	@$(PY) scripts/reproduce.py --all --scale $(SCALE) $(ARGS)

data: $(STAMP)  ## prepare sentence pairs for the learning experiment into data/: make data DATA=snli ARGS=data.vectors=glove
	@$(VENV)/bin/unibio data $(DATA) $(ARGS)

figures: $(STAMP)  ## figures, tables and report from stored records only: RECORDS=results/published/records for the published ones
	@echo "→ drawing figures and writing the report from $(RECORDS)/ into results/"
	@$(VENV)/bin/unibio figures --records $(RECORDS) && $(VENV)/bin/unibio report --records $(RECORDS)

publish: $(STAMP)  ## thinned records of RECORDS (STUDIES="fig1 e1": of these) with what follows from them, as results/published/
	@echo "→ publishing $(RECORDS)/ as results/published/"
	@$(PY) scripts/publish.py $(STUDIES) --records $(RECORDS) $(ARGS)

test: $(STAMP)  ## the tests but the long ones; every skip is printed with its reason
	@echo "→ running the tests"
	@$(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow" $(ARGS)

test-slow: $(STAMP)  ## the long ones: kills, whole reproductions, the tour from nothing, all figures
	@echo "→ running the long tests"
	@$(PY) -m pytest -n auto --maxprocesses 4 -m slow $(ARGS)
	@echo "→ running the tests of random cases on more of them"
	@$(PY) -m pytest -n auto --maxprocesses 4 -m "hypothesis and not slow" --hypothesis-profile thorough \
		$(ARGS) || [ $$? = 5 ]  # ARGS may choose none of these

stress: $(STAMP)  ## minutes: kills at random times and before every operation, wrong configurations, damaged files, full disks; prints what it did
	@echo "→ killing, misconfiguring, damaging and filling up"
	@$(PY) -m pytest -s -p no:cacheprovider tests/stress --ignore tests/stress/test_slurm.py $(ARGS)

## CASES=...     cases of make adversary (default 10000)
CASES ?= 10000

adversary: $(STAMP)  ## minutes: random problems with planted mistakes; counts what is right, told and silently wrong
	@echo "→ attacking with $(CASES) small problems"
	@PYTHONPATH=tests $(PY) -m adversary --cases $(CASES) $(ARGS)

twins: $(STAMP)  ## what every rule says of algorithms that are broken on purpose, into docs/verdicts.md
	@echo "→ judging broken algorithms"
	@PYTHONPATH=tests $(PY) -m twins

slurm-test: $(STAMP)  ## launcher=slurm on a SLURM of one node that is installed (root, apt), started and stopped for it
	@echo "→ starting a SLURM of one node on loopback and running a sweep on it"
	@$(PY) -m pytest -s -p no:cacheprovider tests/stress/test_slurm.py $(ARGS)

dashboard: $(STAMP)  ## the offline wandb runs of RECORDS (default runs) in the terminal; says how to upload them
	@if [ ! -d "$(RECORDS)/wandb" ]; then echo "error: no $(RECORDS)/wandb: runs with tracker=offline (the default) write it;" \
		"make dashboard RECORDS=DIR looks elsewhere" >&2; exit 1; fi
	@echo "→ opening $(RECORDS)/wandb; to upload it: $(VENV)/bin/wandb login, then $(VENV)/bin/wandb sync $(RECORDS)/wandb/offline-run-*"
	@$(VENV)/bin/wandb leet "$(RECORDS)/wandb"

lint: $(STAMP)  ## ruff (rules and format) and mypy
	@echo "→ ruff check";  $(PY) -m ruff check .
	@echo "→ ruff format --check"; $(PY) -m ruff format --check .
	@echo "→ mypy src"; $(PY) -m mypy src

bench: $(STAMP)  ## measure speed and memory into benchmarks/latest.json; ARGS="SECTION ..." measures some (--list: which)
	@$(PY) -c 'from importlib.util import find_spec as at; gone = [name for name in ("jax", "torchopt", "betty") if not at(name)]; \
	    gone and print("→ not here and left out:", ", ".join(gone) + "; benchmarks/README.md says how to install them")'
	@echo "→ running the benchmarks"
	@$(PY) benchmarks/run.py $(ARGS)

clean:  ## remove caches, builds and what is in results/; keeps runs/, results/published/ and .venv
	@echo "→ removing caches, builds and what is in results/ but results/published/"
	@rm -rf build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find results -mindepth 1 -maxdepth 1 ! -name published ! -name .gitignore -exec rm -rf {} +
	@find . -path ./$(VENV) -prune -o -type d -name __pycache__ -exec rm -rf {} +
