# Each target sets up what it needs, so each works alone in a fresh clone.
# The virtual environment is made again only when pyproject.toml or constraints.txt change.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

# Paths reach the recipes through the environment, so that neither make nor the shell takes them apart. Hydra gets them
# in its own quotes: blanks, commas, equals signs, brackets and Chinese characters in a path are then only characters.
export CSV ENCODER
quoted = "$(1)='$${$(2)//\'/\\\'}'"
data_settings = $(if $(CSV),data=cnipa $(call quoted,data.path,CSV))
encoder_settings = $(if $(ENCODER),encoder=bert_base_chinese $(call quoted,encoder.path,ENCODER) experiment=paper)
own_settings = $(data_settings) $(encoder_settings) $(ARGS)

.PHONY: help setup reproduce aggregate ablate test lint clean

help: ## Explain the targets
	@echo 'usage: make TARGET [VARIABLE=value ...]'
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'Variables of reproduce, aggregate and ablate:'
	@echo '  CSV=FILE        raw patent CSV in the paper'"'"'s 16 columns; without it the built-in demo corpus'
	@echo '  ENCODER=FOLDER  bert-base-chinese, with the paper'"'"'s training settings; without it the demo encoder'
	@echo '  ARGS="..."      further settings, such as ARGS="seed=2 trainer.num_threads=1"'
	@echo 'Variable of setup:'
	@echo '  PYTHON=python3  an interpreter of version 3.11 or newer'

setup: $(READY) ## Make .venv with all that is needed

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || \
		{ echo 'error: $(PYTHON) is missing or older than 3.11; name a newer one: make PYTHON=python3.12' >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev]"
	@touch $@

reproduce: $(READY) ## Train the paper's nine models and print the result; finished models are kept
	$(BIN)/python run.py model=bertcnn level=hier $(own_settings)

aggregate: $(READY) ## Print the result of nine finished models again; nothing is trained
	$(BIN)/python -m patent_hier aggregate model=bertcnn level=hier $(own_settings)

ablate: $(READY) ## Section D with the last N = 1 to 6 encoder layers (the paper's Figure 6)
	$(BIN)/python run.py -m level=node node=D model.num_last_layers=1,2,3,4,5,6 $(own_settings)

test: $(READY) ## Run the tests
	$(BIN)/python -m pytest

lint: $(READY) ## Check format, style, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean: ## Remove what can be made again: cache/ and the tools' caches; results in runs/ and .venv/ stay
	rm -rf cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find patent_hier tests -type d -name __pycache__ -prune -exec rm -rf {} +
