# `make run` answers for this machine; `make test` runs every test. Both do all their set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SOURCES := $(shell find sizing probes webapp bench -name '*.py' 2>/dev/null | sort)

.PHONY: run test check fix clean data bench compilers

run: $(VENV)/.run
	@$(BIN)/whatfits

test: $(VENV)/.dev
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pyright

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

data: $(VENV)/.dev
	$(BIN)/python -m whatfits.sizing.catalog.build
	$(BIN)/python -m whatfits.sizing.catalog.bits

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "whatfits needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Set PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)

# The developers' install also runs the command, so `make run` never undoes it.
$(VENV)/.run: $(BIN)/python pyproject.toml
	@test -e $(VENV)/.dev || { echo "installing whatfits into $(VENV) (once)"; $(PIP) --editable .; }
	@touch $@

$(VENV)/.sources: $(BIN)/python
	@echo $(SOURCES) | cmp -s - $@ || echo $(SOURCES) > $@
.PHONY: $(VENV)/.sources

compilers:
	@command -v cc >/dev/null && command -v cmake >/dev/null || \
	  { echo "make test builds llama-cpp-python, the reference for memory figures: it needs a C compiler (cc) and CMake (cmake)" >&2; exit 2; }

# A strict editable install: type checkers see it; it is renewed when a file comes or goes.
$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt $(VENV)/.sources | compilers
	@test -e $(VENV)/.dev || echo "installing whatfits for development into $(VENV); llama-cpp-python compiles for about ten minutes, once"
	@test "$$(cat $(VENV)/.sources)" = "$$(cat $(VENV)/.dev 2>/dev/null)" -a $(VENV)/.dev -nt pyproject.toml || \
	  $(PIP) --config-settings editable_mode=strict --editable '.[dev,bench]'
	@cp $(VENV)/.sources $@
