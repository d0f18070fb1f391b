# `make run` answers for this machine; `make test` runs every test. Both do all their set-up.
VENV := .venv
BIN := $(VENV)/bin
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# What an install is made of, by name: contents reach it through links.
SOURCES := $(shell find sizing probes webapp bench -name '*.py' -o -name '*.toml' -o -name '*.json*' | sort)

.PHONY: run test check fix data accuracy bench fuzz mutate legs coverage clean FORCE

run: $(VENV)/.run
	@$(BIN)/whatfits

test: $(VENV)/.dev
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/mypy tests/typing
	$(BIN)/pyright

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Everything that is generated and committed; tests fail while any of it is stale. About four minutes.
data: $(VENV)/.dev
	$(BIN)/python -m whatfits.sizing.catalog.build
	$(BIN)/python -m whatfits.sizing.catalog.bits
	$(BIN)/python -m whatfits.sizing.catalog.shares_build
	$(BIN)/python tests/readme/generate.py
	$(BIN)/whatfits schema > docs/schema.json

# The public accuracy record: llama.cpp's plans anew, then docs/accuracy.*; about ten minutes.
accuracy: $(VENV)/.dev
	$(BIN)/python tests/oracle/record_plans.py suite
	$(BIN)/python tests/oracle/record_plans.py offload
	$(BIN)/python tests/accuracy/speed_tables.py
	$(BIN)/python tests/accuracy/generate.py

# Speed and memory beside the peers, installed once into build/peers: docs/benchmarks.md; about five minutes.
bench: $(VENV)/.dev
	$(BIN)/python tests/benchmarks/bench_all.py

# Before a release: 100 million files put together by chance. make fuzz INPUTS=1000000 SEED=7 for fewer or others.
INPUTS ?= 100000000
SEED ?= 1
fuzz: $(VENV)/.dev
	$(BIN)/python tests/hostile/fuzz.py --inputs $(INPUTS) --seed $(SEED) --processes $$($(BIN)/python -c 'import os; print(os.cpu_count())')

# Parser, memory arithmetic and placement changed in one place at a time; tests must notice 90 %.
# make mutate SAMPLE=400 SEED=7 for so many of each group (an hour); all of them take some hours.
SAMPLE ?=
mutate: $(VENV)/.dev
	$(BIN)/python tests/mutation/mutate.py --seed $(SEED) $(if $(SAMPLE),--sample $(SAMPLE))

# The wheel with the lowest and with the newest versions that it allows, under each Python there is
# (make legs PYTHONS="python3.11 python3.13"); newer ones by their types alone. About half an hour.
PYTHONS ?=
legs: $(VENV)/.dev
	$(BIN)/python tests/supply/legs.py $(addprefix --python ,$(PYTHONS))
	for version in 3.12 3.13 3.14; do \
	  $(BIN)/mypy --python-version $$version && $(BIN)/pyright --pythonversion $$version || exit; done

# Lines and branches of the parser, the memory arithmetic and placement that their own tests miss:
# none. A few minutes.
COVERED_BY := tests/sizing/readers tests/sizing/beside tests/sizing/graph \
  tests/sizing/search tests/sizing/splits tests/sizing/choosing tests/sizing/residents \
  tests/sizing/needing tests/sizing/test_accelerator_limit.py tests/sizing/test_host_by_name.py \
  tests/sizing/test_too_large.py tests/sizing/sources/http/test_quick.py \
  tests/sizing/sources/test_hub_quick.py \
  tests/sizing/test_closing_in.py \
  tests/sizing/test_placement_rules.py tests/sizing/test_approximate_rules.py \
  tests/hostile/test_gguf_cases.py tests/hostile/test_safetensors_cases.py \
  tests/hostile/test_checkpoint_cases.py tests/hostile/test_file_kinds.py
coverage: $(VENV)/.dev
	$(BIN)/coverage run --rcfile tests/supply/coverage.toml -m pytest -q -m 'not slow' $(COVERED_BY)
	$(BIN)/coverage report --rcfile tests/supply/coverage.toml

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || \
	  { echo "whatfits needs Python 3.11 or newer, and found none; name one: make run PYTHON=/path/to/python3" >&2; exit 2; }
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); exit 2; }

# Written only when the list changes, so that what depends on it is renewed only then.
$(VENV)/.sources: FORCE | $(BIN)/python
	@echo '$(SOURCES)' | cmp -s - $@ || echo '$(SOURCES)' > $@

# Beside a developers' install, the same kind of install; else the kind that works on any file system.
$(VENV)/.run: pyproject.toml constraints.txt $(VENV)/.sources | $(BIN)/python
	@test -e $@ || echo "installing whatfits into $(VENV), once: about half a minute"
	@$(PIP) --config-settings editable_mode=$$(test -e $(VENV)/.dev && echo strict || echo lenient) --editable .
	@touch $@

# Strict: type checkers follow its links, one a file, made anew when a file comes or goes.
$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.sources | $(BIN)/python
	@$(BIN)/python -c 'import llama_cpp' 2>/dev/null || { \
	  command -v cc >/dev/null && command -v c++ >/dev/null && command -v cmake >/dev/null || { \
	  echo "make test needs a C and C++ compiler (cc, c++) and CMake (cmake) for llama-cpp-python" >&2; exit 2; }; \
	  echo "installing whatfits for development into $(VENV); building llama-cpp-python takes about ten minutes, once"; }
	@$(PIP) --config-settings editable_mode=strict --editable '.[dev,bench]'
	@touch $@ $(VENV)/.run
