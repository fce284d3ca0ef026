# `make help` lists the targets. A machine needs make and Python 3.11 or newer beforehand.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The first Python that is new enough; `make PYTHON=... TARGET` takes another one.
new_enough := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for it in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$it -c '$(new_enough)' 2>/dev/null && echo $$it && break; done)
JOBS ?= 2
BIN := .venv/bin
READY := .venv/.ready

# An environment serves one clone: installed from another, it would read that one's library.
OWNER := $(shell cat $(READY) 2>/dev/null)
ifneq ($(OWNER),)
ifneq ($(OWNER),$(CURDIR))
$(error this .venv belongs to the clone at $(OWNER); remove .venv (or the link to it) and run make again)
endif
endif

# Data: the folder that ACCEL_DATA names, or one beside the clone; otherwise the user's cache.
ifndef ACCEL_DATA
ifneq ($(wildcard ../shared/data),)
export ACCEL_DATA := $(shell cd ../shared/data && pwd)
endif
endif
# Another environment may be active in the shell that calls make; IPython would warn of it.
unexport VIRTUAL_ENV
# The trainer has its own threads: chapters side by side must not each take all cores for BLAS.
export OMP_NUM_THREADS ?= 1

NOTEBOOKS := $(sort $(wildcard notebooks/[0-9][0-9]-*.ipynb))
TEXTS := $(sort $(wildcard notebooks/[0-9][0-9]-*.md))
EXECUTED := $(NOTEBOOKS:notebooks/%=book/executed/%)
# A chapter is executed (profile `paper`, its default) anew when its text, the library, or what is recorded has changed.
INPUTS := $(READY) $(shell find accel_core report book/claims book/data book/record book/reference \
	-type f -not -path '*/__pycache__/*' 2>/dev/null)

# Kernels that start at the same time now and then choose the same port; one of them dies at once.
DIED := "Kernel died before replying"

.PHONY: help environment book pdf slides chapters outputs test kernels without test-all bench record readme format clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

environment: $(READY)  ## .venv with the pinned packages and this library
$(READY): requirements.txt requirements-hashes.txt pyproject.toml report/pyproject.toml
	@$(or $(PYTHON),false) -c '$(new_enough)' || { echo "Python 3.11 or newer is needed;" \
	  "name it with 'make PYTHON=/path/to/python3 ...'"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@mkdir -p build
	@echo "installing the pinned packages into .venv"
	@{ $(BIN)/python -m pip install --require-hashes --requirement requirements-hashes.txt && \
	  $(BIN)/python -m pip install --requirement requirements.txt && \
	  $(BIN)/python -m pip install --no-deps --no-build-isolation --editable . --editable report; } \
	  >build/install.log 2>&1 || { tail -n 30 build/install.log; \
	  echo "make: the packages could not be installed; the whole log: build/install.log"; exit 1; }
	@printf '%s' "$(CURDIR)" >$@

book: $(READY)  ## execute the chapters, build the pages strictly, say which page to open
	@$(MAKE) --jobs $(JOBS) --keep-going chapters
	@mkdir -p build && rm -rf book/_build/html/_{downloads,images,sources}  # named by content: the old ones would stay
	@$(BIN)/jupyter-book build book --config _config.yml --toc "$(CURDIR)/_toc.yml" --path-output book \
	  -W -n --keep-going --all -q >build/book.log 2>&1 || { \
	  grep -E 'WARNING|ERROR|rror:' build/book.log || tail -n 30 build/book.log; \
	  echo "make book: a strict build allows no warning; its whole log: build/book.log"; exit 1; }
	@echo "Open $(CURDIR)/book/_build/html/index.html"

pdf: book  ## the book as one PDF (needs Chromium)
	@$(BIN)/python -m report pdf

slides: $(READY)  ## a talk, one HTML file: build/slides.html
	@$(MAKE) --jobs $(JOBS) chapters
	@$(BIN)/python -m report slides

chapters: $(EXECUTED)
	@:
book/executed/%.ipynb: notebooks/%.ipynb $(INPUTS)
	@mkdir -p $(@D) build
	@echo "executing $<"
	@run() { ACCEL_FIGURE_DATA=1 $(BIN)/papermill --no-progress-bar --cwd notebooks $< build/$*.ipynb \
	  >build/$*.log 2>&1; }; run || { grep -q $(DIED) build/$*.log && run; } || { tail -n 30 build/$*.log; \
	  echo "make book: chapter $< failed; its whole log: build/$*.log"; exit 1; }
	@mv build/$*.ipynb $@

outputs: $(READY)  ## execute every chapter and keep its outputs in notebooks/
	@$(BIN)/jupytext --quiet --sync $(TEXTS)
	@$(MAKE) --jobs $(JOBS) chapters
	@$(BIN)/python -m report outputs

test: $(READY)  ## every check, slow variants left out
	@echo "lint";   $(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
	@echo "book";   $(MAKE) book
	@echo "tests, smoke executions"; $(BIN)/pytest -q -n $(JOBS) --dist worksteal
	@echo "stored outputs, beside what the book has just executed"
	@PYTHONPATH=tests/support ACCEL_EXECUTED=book/executed $(BIN)/pytest -q -p executed $(COMPARED) $(NOTEBOOKS)
	@$(MAKE) kernels

# Chapters that compute on the page, verdicts among them, again as other processors would: two of
# BLAS's kernels, and code that numba compiles for no processor in particular, in a cache of its
# own. The record was computed again, in parts, when the book was made.
COMPUTING = $(shell grep -lP '\btrain\x28|theory\.|claims\.table' $(TEXTS) | sed 's/md$$/ipynb/')
kernels: export ACCEL_RECHECK := no
kernels: $(READY)  ## stored outputs, as other processors compute them
	@echo "stored outputs, Haswell's BLAS"
	@export OPENBLAS_CORETYPE=Haswell; $(call NBVAL,$(COMPUTING))
	@echo "stored outputs, Prescott's BLAS and generic code"
	@export OPENBLAS_CORETYPE=Prescott NUMBA_CPU_NAME=generic NUMBA_CPU_FEATURES= \
	  NUMBA_CACHE_DIR="$(CURDIR)/build/numba-generic"; $(call NBVAL,$(COMPUTING))

# As where neither data nor network are at hand: an empty cache, every address unreachable. Tests
# of modules, and chapters, that never look for either are left out: they would do the very same
# again. (tests/conftest.py has the words by which they are told.)
SEEKING = $(shell cd tests && PYTHONPATH=support ../$(BIN)/python -c \
	'import conftest; print(*conftest.seeking_chapters())')
NOTHING = export ACCEL_DATA="$(CURDIR)/build/no-data" ACCEL_CACHE="$(CURDIR)/build/no-cache" \
	HTTPS_PROXY=http://127.0.0.1:9 HTTP_PROXY=http://127.0.0.1:9
without: $(READY)  ## tests and stored outputs without data and without network
	@rm -rf build/no-cache
	@$(NOTHING); $(BIN)/pytest -q -n $(JOBS) --dist worksteal -m "data and not slow and not browser"
	@$(NOTHING); $(call NBVAL,$(SEEKING))

# The lines that may differ from machine to machine are listed, with the reason of each, in the cfg.
# A kernel that died at its start is given a second one.
COMPARED = --nbval --nbval-sanitize-with tests/sanitize.cfg
NBVAL = run() { $(BIN)/pytest -q -n $(JOBS) --dist loadfile $(COMPARED) "$$@" $(1); }; run | tee build/nbval.log || \
	{ grep -q $(DIED) build/nbval.log && run --last-failed; }

test-all: test  ## the same, and the exhaustive variants
	@$(BIN)/pytest -q -n $(JOBS) -m slow

bench: $(READY)  ## the trainer's speed beside the plain loop's and the bare matrix products'
	@$(BIN)/python -m pip install --quiet --requirement requirements-bench.txt  # JAX
	@$(BIN)/python -m report.bench

record: $(READY)  ## compute the runs that the record lacks, and keep them
	@$(BIN)/python -m report record

readme: $(READY)  ## write anew what is generated: README, contents, the page on parameters
	@$(BIN)/python -m report readme

format: $(READY)  ## format all code, the chapters' too, and bring their pairs into step
	@$(BIN)/jupytext --quiet --sync $(TEXTS)
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .
	@$(BIN)/jupytext --quiet --sync $(TEXTS)

clean:  ## remove what was built (not the environment, not the record, not your cache)
	rm -rf build book/executed book/_build .pytest_cache .ruff_cache
