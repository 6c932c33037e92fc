# Two commands on a new machine:   make demo   (or: make demo MODEL=path/to/your/model)   and   make test
#
# PYTHON       the interpreter that makes the environment (>= 3.11)
# VENV         where the environment is made
# TORCH_INDEX  where torch's CPU build is fetched when pip's own index does not have it (PyTorch's documented CPU index)
# ENGINE       vllm or hf; by default what could be installed
# PYTEST_ARGS  further arguments for pytest, e.g. PYTEST_ARGS='-k board'

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
ENGINE ?= $$(cat $(VENV)/engine)
MODEL ?=
PYTEST_ARGS ?=

PY := $(VENV)/bin/python
TORCH := 2.13.0
# Single files of these are oracles of tests; what they need otherwise (TensorFlow, ...) is not.
ORACLES := tensorflow-privacy==0.8.0 sacroml==2.0.1
FOLDERS := metrics harness_tasks adapters plugins leaderboards
ROOT_FILES := __init__.py cli.py errors.py py.typed
SOURCES := $(ROOT_FILES) README.md $(wildcard startup/groupgap*) $(shell find $(FOLDERS) -type f ! -path '*/__pycache__/*')

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export VLLM_CPU_KVCACHE_SPACE ?= 1

.PHONY: help venv install demo example example-token-bias example-membership test lint types clean

help:
	@echo 'make demo [MODEL=path]  install, ask a model through lm_eval, build demo/board/index.html'
	@echo 'make test               lint, types, tests'
	@echo 'make example            train and judge the board of examples/lora-vs-full again (GROUPGAP_SHARED=folder)'
	@echo 'make example-token-bias make the report of examples/token-bias again (GROUPGAP_SHARED=folder)'
	@echo 'make example-membership train and attack the models of examples/membership again (GROUPGAP_SHARED=folder)'
	@echo 'make install            only make $(VENV) with groupgap and an engine'
	@echo 'make clean              remove what was built; $(VENV) stays'

venv install: $(VENV)/installed $(VENV)/groupgap

# The environment: rebuilt when what it is to hold changes.
$(VENV)/installed: pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "groupgap needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V 2>&1): make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { \
	  echo "$(PYTHON) cannot make an environment: install its venv module (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@echo "making $(VENV): some minutes, most of them downloads"
	@install() { echo "+ pip install $$*"; $(PY) -m pip install --progress-bar off -qq "$$@"; }; \
	if nvidia-smi > /dev/null 2>&1; then \
	  install '.[vllm,vision,figures,train,test]'; echo vllm > $(VENV)/engine; \
	else \
	  index=(); \
	  $(PY) -m pip install --quiet --dry-run --no-deps torch==$(TORCH)+cpu > /dev/null 2>&1 || index=(--extra-index-url $(TORCH_INDEX)); \
	  if install "$${index[@]}" torch==$(TORCH)+cpu '.[cpu,vision,figures,train,test]'; then echo vllm > $(VENV)/engine; \
	  else \
	    echo "vLLM's CPU build cannot be installed here; models will be asked by --model hf" >&2; \
	    install "$${index[@]}" torch==$(TORCH)+cpu '.[vision,figures,train,test]'; echo hf > $(VENV)/engine; \
	  fi; \
	  $(PY) -m pip uninstall --yes --quiet torchaudio torchcodec 2> /dev/null; \
	  $(PY) -m groupgap.plugins.vllm_alias; \
	fi
	@$(PY) -m pip install --quiet --no-deps $(ORACLES)
	@touch $@ $(VENV)/groupgap

# groupgap itself, as a user gets it (not editable): reinstalled when a source changed.
$(VENV)/groupgap: $(VENV)/installed $(SOURCES)
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation --no-index --force-reinstall .
	@touch $@

demo: install
	@$(PY) examples/demo.py --out demo --engine $(ENGINE) $(if $(MODEL),--model '$(MODEL)')

# The board of examples/lora-vs-full, made again from the model and the data in GROUPGAP_SHARED.
example: install
	@$(PY) examples/lora-vs-full/run.py --out example

# The report of examples/token-bias, likewise.
example-token-bias: install
	@$(PY) examples/token-bias/run.py --out example-token-bias

example-membership: install
	@$(PY) examples/membership/run.py --out example-membership

# The last line is pytest's own summary.
test: export OMP_NUM_THREADS := 1
test: lint
	@$(PY) -m pytest $(PYTEST_ARGS)

lint: install types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

# mypy reads the package's name from its folder, and a checkout may lie in a folder of any name.
types: install
	@mkdir -p build/checkout/groupgap
	@for name in $(ROOT_FILES) $(FOLDERS); do ln -sfn ../../../$$name build/checkout/groupgap/$$name; done
	@ln -sfn ../../startup/groupgap_startup.py build/checkout/groupgap_startup.py
	@$(PY) -m mypy

clean:
	rm -rf build dist demo example example-token-bias example-membership .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
