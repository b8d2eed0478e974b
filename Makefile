# `make all` sets up an environment and builds every figure of the study; `make help` lists the rest.
# A notebook is rebuilt when its template, the package, the grid, the split or the weights are newer than it,
# when LIMIT changed, or when one of the files it wrote is missing or was overwritten.

PROFILE := demo
LIMIT :=
DEVICE := auto
PYTHON :=
TESTS :=

# Notebooks at a time, and the threads of each: a small model gains more from the former. A big one does not fit twice.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
JOBS := $(if $(and $(filter demo,$(PROFILE)),$(filter-out 1,$(CORES))),2,1)
THREADS := $(shell echo $$(( ($(CORES) + $(JOBS) - 1) / $(JOBS) )))

# An active environment is used as it is; conda's base, which many shells activate unasked, is left alone.
ifneq ($(VIRTUAL_ENV),)
ENV := $(VIRTUAL_ENV)
else ifneq ($(and $(CONDA_PREFIX),$(filter-out base,$(or $(CONDA_DEFAULT_ENV),unnamed))),)
ENV := $(CONDA_PREFIX)
else
ENV := .venv
endif
PY := $(ENV)/bin/python
PIP := "$(PY)" -m pip --disable-pip-version-check
PYTHON_IS_NEW := -c 'import sys; sys.exit(sys.version_info < (3, 11))'

FIGURES := figures/$(PROFILE)
EXECUTED := $(FIGURES)/executed
RESULTS := data/results/$(PROFILE)
SUPPLEMENT := $(FIGURES)/supplement.html
SUPPLEMENT_PDF := $(FIGURES)/supplement.pdf

.SUFFIXES:
.DELETE_ON_ERROR:
.PHONY: all figures supplement env install test test-browser lint benchmark clean help FORCE

all: env
	@$(MAKE) --no-print-directory -j$(JOBS) figures
	@"$(PY)" -m samstudy.present left-out $(PROFILE)
	@echo "Figures, tables and executed notebooks are in $(FIGURES)."

supplement: env
	@$(MAKE) --no-print-directory -j$(JOBS) $(SUPPLEMENT)
	@echo "The supplement is $(SUPPLEMENT) and $(SUPPLEMENT_PDF)."

help:
	@echo "make all      set up the environment if needed, then build the figures of a profile"
	@echo "make test     set up the environment if needed, then run the tests (TESTS=tests/test_prompts.py for one file)"
	@echo "make test-browser  test the explorer in JupyterLab in Chromium, which is installed from Debian's packages if it can be"
	@echo "make env      only the environment: the active one, else .venv (PYTHON=... says with which Python)"
	@echo "make figures  as all, in an environment that is there"
	@echo "make supplement  all of a profile as one web page and a PDF, to attach to a paper"
	@echo "make benchmark  measure speed and memory beside other software, into data/results/benchmarks"
	@echo "make lint     check the style of code and notebooks"
	@echo "make clean    remove the figures, tables and results of a profile; the cache of embeddings stays"
	@echo
	@echo "PROFILE=$(PROFILE)  demo or paper: the grid in study.yaml"
	@echo "LIMIT=$(LIMIT)  use at most so many test images"
	@echo "DEVICE=$(DEVICE)  auto, cpu, cuda or mps"
	@echo "JOBS=$(JOBS)  notebooks at a time, each with THREADS=$(THREADS)"

# --- environment ------------------------------------------------------------------------------------------

# The mark names what was installed for which checkout, so it is right for an environment that others use too.
INSTALLED := $(ENV)/.samstudy-installed
WANTED := { pwd; cat requirements.lock pyproject.toml; }

env:
	@if [ ! -x "$(PY)" ] || ! $(WANTED) | cmp -s - "$(INSTALLED)"; then $(MAKE) --no-print-directory install; fi

install:
	@if [ ! -x "$(PY)" ] && [ "$(ENV)" != .venv ]; then \
	  echo "The active environment $(ENV) holds no bin/python: deactivate it, and make will use .venv." >&2; exit 1; fi
	@if [ ! -x "$(PY)" ]; then \
	  for python in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3 python; do \
	    if "$$python" $(PYTHON_IS_NEW) 2>/dev/null; then \
	      echo "Making .venv with $$("$$python" --version)."; exec "$$python" -m venv .venv; fi; done; \
	  echo "No Python 3.11 or newer found: install one, or say where it is: make env PYTHON=/path/to/python3.11" >&2; \
	  exit 1; fi
	@"$(PY)" $(PYTHON_IS_NEW) || { \
	  echo "$(PY) is older than Python 3.11: deactivate or remove that environment, and make again." >&2; exit 1; }
	@"$(PY)" -m pip --version >/dev/null 2>&1 || "$(PY)" -m ensurepip --upgrade
	$(PIP) install -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@$(WANTED) > "$(INSTALLED).new" && mv "$(INSTALLED).new" "$(INSTALLED)"

# Two processes, a file never in both: half the time where there are two cores.
test: env
	OMP_NUM_THREADS=$(THREADS) "$(PY)" -m pytest $(if $(TESTS),,-n 2 --dist loadfile) $(TESTS)

# Without Chromium the tests are skipped and say so.
test-browser: env
	@command -v chromium >/dev/null || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && \
	  apt-get install -y --no-install-recommends chromium; } || \
	  echo "No Chromium here: install it (Debian: apt-get install chromium), and make test-browser again." >&2
	"$(PY)" -m pytest -m browser -s tests/test_browser.py

lint: env
	"$(PY)" -m ruff check
	"$(PY)" -m ruff format --check

benchmark: env
	"$(PY)" benchmarks/run.py

clean:
	rm -rf "$(FIGURES)" "$(RESULTS)"

# --- figures ----------------------------------------------------------------------------------------------

# Only read where it is needed: before `make env` there may be nothing to read study.yaml with.
ifneq ($(filter-out all supplement env install test test-browser lint benchmark clean help,$(or $(MAKECMDGOALS),all)),)

# What of the profile is on this machine; the reasons of what is not are told at the end.
DATASETS := $(shell "$(PY)" -m samstudy.present found $(PROFILE))
ifeq ($(DATASETS),)
$(error nothing can be built for PROFILE=$(PROFILE))
endif

# A partial copy of a benchmark may have nothing to be tuned on.
TUNABLE := $(shell "$(PY)" -m samstudy.present tunable $(PROFILE))
ifeq ($(TUNABLE),)
$(error nothing can be built for PROFILE=$(PROFILE))
endif

# A phantom is split as its benchmark; a data set of one's own may have no committed split.
split_of = $(wildcard data/splits/$(patsubst phantom_%,%,$1).csv)

# What no figure depends on is left out, so that changing it rebuilds nothing.
PACKAGE := $(filter-out samstudy/pretrain/% samstudy/supplement/% samstudy/explore/% samstudy/present.py,\
    $(wildcard samstudy/*.py samstudy/*/*.py samstudy/*.mplstyle))
# The drawn control is drawn by what pretraining drew with; nothing else depends on it.
drawn_by = $(if $(filter heldout_scenes,$1),$(wildcard samstudy/pretrain/*.py))

WEIGHTS := $(wildcard samstudy/weights/* data/raw/checkpoints/*)
LIMIT_FILE := $(EXECUTED)/.limit

DATA := $(DATASETS:%=$(EXECUTED)/%.00_data.ipynb)
ZERO_SHOT := $(DATASETS:%=$(EXECUTED)/%.10_zero_shot.ipynb)
FINE_TUNE := $(TUNABLE:%=$(EXECUTED)/%.20_fine_tune.ipynb)
SUMMARY := $(EXECUTED)/30_summary.ipynb

RUN = @OMP_NUM_THREADS=$(THREADS) "$(PY)" -m samstudy.cli notebook $< $@ -p profile $(PROFILE)
RUN_MODELS = $(RUN) -p dataset $* -p device $(DEVICE) $(if $(LIMIT),-p limit $(LIMIT))

figures: $(DATA) $(ZERO_SHOT) $(FINE_TUNE) $(SUMMARY)

.SECONDEXPANSION:

$(DATA): $(EXECUTED)/%.00_data.ipynb: \
    notebooks/00_data.ipynb $$(call split_of,$$*) $$(call drawn_by,$$*) study.yaml $(PACKAGE)
	$(RUN) -p dataset $*

$(ZERO_SHOT): $(EXECUTED)/%.10_zero_shot.ipynb: \
    notebooks/10_zero_shot.ipynb $$(call split_of,$$*) $$(call drawn_by,$$*) study.yaml $(PACKAGE) $(WEIGHTS) \
    $(LIMIT_FILE)
	$(RUN_MODELS)

$(FINE_TUNE): $(EXECUTED)/%.20_fine_tune.ipynb: \
    notebooks/20_fine_tune.ipynb $$(call split_of,$$*) study.yaml $(PACKAGE) $(WEIGHTS) $(LIMIT_FILE)
	$(RUN_MODELS)

# The page is written last; a PDF that is missing is made again with it.
$(SUPPLEMENT): $(DATA) $(ZERO_SHOT) $(FINE_TUNE) $(SUMMARY) $(wildcard samstudy/supplement/*.py samstudy/supplement/templates/*) \
    $(if $(wildcard $(SUPPLEMENT_PDF)),,FORCE)
	@"$(PY)" -m samstudy.cli supplement --profile $(PROFILE)

# `.tables` holds the content hashes of a notebook's tables and is rewritten only when one changes, so a
# notebook that ran again to the same numbers does not rebuild the summary.
$(SUMMARY): notebooks/30_summary.ipynb study.yaml $(PACKAGE) $(addsuffix .tables,$(ZERO_SHOT) $(FINE_TUNE))
	$(RUN) -p device $(DEVICE)

$(addsuffix .tables,$(ZERO_SHOT) $(FINE_TUNE)): %.tables: %
	@:

$(DATASETS:%=$(RESULTS)/%.zero_shot.parquet): $(RESULTS)/%.zero_shot.parquet: $(EXECUTED)/%.10_zero_shot.ipynb
	@:

$(TUNABLE:%=$(RESULTS)/%.fine_tune.parquet): $(RESULTS)/%.fine_tune.parquet: $(EXECUTED)/%.20_fine_tune.ipynb
	@:

$(LIMIT_FILE): $(shell echo "$(LIMIT)" | cmp -s - $(LIMIT_FILE) || echo FORCE)
	@mkdir -p $(EXECUTED); echo "$(LIMIT)" > $@

# Executed notebooks are run again, whatever their age, when an output or the list of them is missing, or when an
# output is newer: the notebook is written last, so another run has overwritten it.
LOST := $(shell for notebook in $(EXECUTED)/*.ipynb; do \
    if [ -e "$$notebook.tables" ] && [ -e "$$notebook.outputs" ]; then \
      while IFS= read -r path; do \
        if [ ! -e "$$path" ] || [ "$$path" -nt "$$notebook" ]; then echo "$$notebook"; break; fi; \
      done < "$$notebook.outputs"; \
    else echo "$$notebook"; fi; done)
$(LOST): FORCE

endif

FORCE:
