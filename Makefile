# make help lists the targets. Needed beforehand: make and Python 3.11 or newer.
PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
READY := .venv/.ready
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

NOTEBOOKS := $(sort $(wildcard notebooks/[0-9][0-9]-*.ipynb))
EXECUTED := $(NOTEBOOKS:notebooks/%=book/executed/%)
# What a chapter's output depends on beside its own text.
INPUTS := $(wildcard accel_core/* book/*.csv book/record/*)
PAGES := $(wildcard book/*.md book/*.bib book/static/*) _config.yml _toc.yml README.md

# Data: the folder named by ACCEL_DATA, or the one beside the clone; else the user's cache.
ifndef ACCEL_DATA
ifneq ($(wildcard ../shared/data),)
export ACCEL_DATA := $(abspath ../shared/data)
endif
endif
# The batched trainer makes its own threads; two chapters must not each take all cores for BLAS.
export OMP_NUM_THREADS ?= 1

.PHONY: help
help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$$($(PYTHON) --version 2>&1) is too old: Python 3.11 or newer is needed;" \
	       "name one with 'make PYTHON=python3.12 ...'"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: environment
environment: $(READY)  ## .venv with the pinned packages
