# Each target sets up what it needs and works on its own in a fresh clone.
# The virtual environment is rebuilt only when pyproject.toml or constraints.txt changes. Its modules are compiled by all
# cores at once; pip would use one.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python run.py
NODES ?= D
LAYERS ?= 1,2,3,4,5,6
SEEDS ?= 1,2,3
DATA ?= cnipa
STEPS ?= 200
SIZE ?= quick
MODEL ?= linear
MUTANTS ?= 220
READY := $(VENV)/.installed

# Without compiled modules, each of the many processes of tests and sweeps would compile the sources again.
unexport PYTHONDONTWRITEBYTECODE

# Paths reach the recipes through the environment, so that neither make nor the shell splits them. They are passed in
# Hydra's own quotes, so that spaces, commas, equals signs, brackets and Chinese characters in a path have no meaning.
export CSV ENCODER TITLES
quoted = "$(1)='$${$(2)//\'/\\\'}'"
data_settings = $(if $(CSV),data=$(DATA) $(call quoted,data.path,CSV))
encoder_settings = $(if $(ENCODER),encoder=bert_base_chinese $(call quoted,encoder.path,ENCODER) experiment=paper)
title_settings = $(if $(TITLES),$(call quoted,data.label_text,TITLES))
own_settings = $(data_settings) $(encoder_settings) $(ARGS)
# The demo's models are so small that two processes with one thread each are faster than one with two.
JOBS ?= $(if $(CSV),1,2)
parallel = $(if $(filter-out 1,$(JOBS)),hydra/launcher=joblib hydra.launcher.n_jobs=$(JOBS) trainer.num_threads=1)

.PHONY: help setup demo reproduce reproduce-full report aggregate ablate ensemble pretrain bench plan gpu-check test \
	test-trust mutants lint docs docs-serve dist audit-dependencies clean

help: ## List the targets and variables
	@echo 'usage: make TARGET [VARIABLE=value ...]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'Variables of reproduce, reproduce-full, demo, report, aggregate and ablate; all but SEEDS, NODES and LAYERS also of ensemble:'
	@echo '  CSV=FILE        raw patent CSV in the paper'"'"'s 16 columns; default: the built-in demo corpus'
	@echo '  DATA=cnipa      how CSV is read; DATA=gazette uses titles as texts'
	@echo '  ENCODER=FOLDER  bert-base-chinese, with the paper'"'"'s training settings; default: small, the pre-trained encoder'
	@echo '                  included in the package'
	@echo '  TITLES=FILE     titles of IPC symbols (code,level,title) as additional training documents of ensemble'
	@echo '  ARGS="..."      further settings for all models of the target, such as ARGS="seed=2 split=applicant"'
	@echo '  JOBS=2          processes in parallel, with one CPU thread each; 1 trains one model after the other'
	@echo '  SEEDS=1,2,3     seeds of reproduce-full'
	@echo '  NODES=D         nodes of ablate; NODES=A,B,C,D,E,F,G,H for every section'
	@echo '  LAYERS=1,2,...  numbers of last layers of ablate; an encoder with 12 layers allows 1 to 12'
	@echo 'Variable of setup:'
	@echo '  PYTHON=python3  a Python interpreter, version 3.11 or newer'

setup: $(READY) ## Create .venv with all dependencies

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || \
		{ echo 'error: $(PYTHON) is missing or older than 3.11; name a newer one: make PYTHON=python3.12' >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-compile -c constraints.txt -e ".[dev]"
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true # some packages contain files for other Python versions
	@touch $@
	@echo 'ready; next: source $(BIN)/activate, then patent-hier --help'

reproduce: $(READY) ## Train all models once and write the paper's tables and figures; finished models are skipped
	$(RUN) -m model=bertcnn,textcnn,rnn,linear level=hier $(parallel) $(own_settings)
	$(RUN) model=linear level=flat $(own_settings)
	$(MAKE) --no-print-directory ablate report

reproduce-full: $(READY) ## Also train the controls, three seeds, all classical models, and flat models; hours on a CPU
	for model in bertcnn bert textcnn rnn; do \
		$(RUN) -m model=$$model level=hier seed=$(SEEDS) $(parallel) $(own_settings) && \
		$(RUN) -m model=$$model level=flat seed=$(SEEDS) $(parallel) $(own_settings) || exit; done
	for control in model.head=token model.hidden_order=shuffled model.pooling=cls model.pool_size=null encoder.freeze=false; do \
		$(RUN) -m model=bertcnn $$control level=hier seed=$(SEEDS) $(parallel) $(own_settings) || exit; done
	for model in textcnn rnn; do $(RUN) -m model=$$model features=chars level=hier seed=$(SEEDS) $(parallel) $(own_settings) || exit; done
	for model in linear logistic naive_bayes knn; do \
		$(RUN) model=$$model level=hier $(parallel) $(own_settings) && $(RUN) model=$$model level=flat $(own_settings) || exit; done
	$(MAKE) --no-print-directory ablate report

demo: $(READY) ## Train a small model on the demo corpus or CSV=FILE and open its page: MODEL=bertcnn; Ctrl-C stops it
	$(BIN)/python -m patent_hier demo --open model=$(MODEL) $(own_settings)

report: $(READY) ## Write the report of all trained models; nothing is trained
	$(BIN)/python -m patent_hier report $(own_settings)

aggregate: $(READY) ## Print the joint result of nine finished models; nothing is trained
	$(BIN)/python -m patent_hier aggregate model=bertcnn level=hier $(own_settings)

ablate: $(READY) ## Measure accuracy by number of last encoder layers (the paper's Figure 6): NODES=D LAYERS=1,2,3,4,5,6
	$(RUN) -m level=node node=$(NODES) model.num_last_layers=$(LAYERS) $(parallel) $(own_settings)

ensemble: $(READY) ## Train and combine four models, the most accurate system: CSV=FILE DATA=gazette TITLES=FILE ENCODER=FOLDER
	$(BIN)/python -m patent_hier ensemble $(data_settings) $(title_settings) \
		$(if $(ENCODER),encoder=folder $(call quoted,encoder.path,ENCODER)) --jobs $(JOBS) $(ARGS)

# The default budget is only a test; for a useful encoder: make pretrain TEXT=FILE,FILE BUDGET=max_time=60
BUDGET ?= max_steps=$(STEPS) steps_per_round=50
pretrain: $(READY) ## Pre-train an encoder briefly on the corpus or on TEXT=FILE,FILE: STEPS=200 or BUDGET=max_time=60
	$(BIN)/python -m patent_hier pretrain $(if $(TEXT),'text=[$(TEXT)]',$(data_settings)) $(BUDGET) $(ARGS)

bench: $(READY) ## Compare our speed with the alternatives on this machine: SIZE=quick or full, CSV=FILE
	$(BIN)/python -m benchmarks speed --size $(SIZE) $(data_settings) $(ARGS)

plan: $(READY) ## Estimate disk, memory and hours before training on a corpus: CSV=FILE ENCODER=FOLDER ARGS="--seeds 3"
	$(BIN)/python -m benchmarks plan $(data_settings) $(if $(ENCODER),$(encoder_settings)) $(ARGS)

# One H100 or H200, nine minutes, no prompts; a step that does not fit is skipped and reported.
gpu-check: $(READY) ## Check everything that needs a GPU in nine minutes and record it: CSV=FILE DATA=gazette for level=hier
	$(BIN)/python -m benchmarks gpu $(data_settings) $(ARGS)

# A group of tests shares a process, see tests/conftest.py. Beyond eight processes, imports take most of the time.
test: $(READY) ## Run the tests except the slow ones, with one process per core, eight at most
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadgroup --no-loadscope-reorder \
		-m "not trust and not slow"

test-trust: $(READY) ## Run the slow tests, then the tests of robustness: kills, faults, damaged and malicious files
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m slow
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m trust tests/trust

mutants: $(READY) ## Plant small faults in the core and count those that the tests detect; an hour or more: MUTANTS=220
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[mutants]"
	$(BIN)/python tests/mutants.py --size $(MUTANTS)

lint: $(READY) ## Check formatting, style, types and import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Material for MkDocs prints a page about MkDocs 2, which the extra `docs` excludes.
export NO_MKDOCS_2_WARNING := 1
INSTALL_DOCS = @$(BIN)/python -c 'import material, mkdocs_static_i18n, mkdocstrings_handlers.python' 2> /dev/null || \
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"

docs: $(READY) ## Build the site into build/site; a broken link or an unknown page is an error
	$(INSTALL_DOCS)
	$(BIN)/mkdocs build --strict
	@echo 'site: build/site/index.html'

docs-serve: $(READY) ## Show the site on http://127.0.0.1:8000 and rebuild it while you write; Ctrl-C ends it
	$(INSTALL_DOCS)
	$(BIN)/mkdocs serve

# Without build isolation, so that the build backend is the pinned one too.
dist: $(READY) ## Build the wheel and the source archive into dist/ and check them for an upload
	@$(BIN)/python -c 'import build.__main__, hatchling, twine' 2> /dev/null || \
		$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[release]"
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m twine check --strict dist/*

# In a separate environment, so that the tool's own dependencies are not audited.
AUDIT := $(VENV)/audit
audit-dependencies: $(READY) ## Check the versions in constraints.txt against the public advisory database; needs a network
	@test -x $(AUDIT)/bin/pip-audit || { $(BIN)/python -m venv $(AUDIT) && $(AUDIT)/bin/pip install --quiet pip-audit; } || \
		{ echo 'error: pip-audit cannot be installed; audit-dependencies needs a network' >&2; exit 1; }
	@$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt || \
		{ echo 'error: advisories were found, or the database did not answer; check the list above and the network' >&2; exit 1; }

clean: ## Remove what can be rebuilt: cache/ and the tools' caches; runs/ and .venv/ stay
	rm -rf cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find patent_hier benchmarks tests -type d -name __pycache__ -prune -exec rm -rf {} +
