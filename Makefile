# make demo    set up, run the whole workflow on the embedded data set, print the table
# make test    set up, run all tests
# make stress  set up, run the tests of faults and scale in full (an hour or more)
# make lint    formatting and static checks
# make docs    write the generated parts of the documentation and the JSON schemas
# make clean   remove what make and the workflow made, but for the environment

VENV ?= .venv
PYTHON ?= python3
# how many cores `make demo` takes; default: all
CORES ?=
$(if $(word 2,$(VENV)),$(error VENV=$(VENV): make takes a path with blanks for several; name one without))
INSTALLED := $(VENV)/.installed
BIN := $(VENV)/bin
# with the environment's programs first; a shell, and not make, says where this folder is, whatever it is called
IN_VENV = PATH="$$(cd "$(BIN)" && pwd):$$PATH"
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

.PHONY: demo test stress lint docs clean

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"Python 3.11 or newer is needed, $(PYTHON) is {sys.version.split()[0]}; use make PYTHON=…")'
	@echo "== installing into $(VENV): some gigabytes and a few minutes, once"
	$(PYTHON) -m venv "$(VENV)"
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@# once more by itself, so that its command `snakemake` is the one that stays (mml_core/runtime/command.py)
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch "$@"

demo: $(INSTALLED)
	@echo "== running both pipelines of the paper on the embedded data set; logs are in logs/"
	$(IN_VENV) mml run --dataset demo --recipe mml_single_demo --recipe mml_ensemble_demo --device auto \
	    $(addprefix --cores ,$(CORES))

test: $(INSTALLED)
	@echo "== running the tests"
	$(IN_VENV) python -m pytest --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder \
	    --max-worker-restart 0 $(PYTEST)

stress: $(INSTALLED)
	@echo "== running the tests of faults and scale in full; seeds and counts are printed"
	$(IN_VENV) python -m pytest --stress -m stress -s -v --timeout 7200 $(PYTEST)

lint: $(INSTALLED)
	"$(BIN)/ruff" format --check . && "$(BIN)/ruff" check .
	$(IN_VENV) snakefmt --check Snakefile rules
	$(IN_VENV) snakemake --lint

docs: $(INSTALLED)
	"$(BIN)/python" -m mml_core.config.document

clean:
	rm -rf results logs benchmarks/*.tsv .snakemake .pytest_cache .ruff_cache .hypothesis
