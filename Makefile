# `make demo` does the main job on a small real class; `make test` passes the tests. Both set everything up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
EXTRAS ?= dev
JOBS ?= auto
PYTEST := $(BIN)/python -m pytest --numprocesses $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-all lint build verify ready clean

demo: $(READY)
	$(BIN)/autograder demo --out report

test test-all: export OMP_NUM_THREADS := 1  # there are as many processes as cores already

test: lint
	$(PYTEST) -m "not slow"

test-all: test
	$(PYTEST) -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

ready: $(READY)

build verify: $(READY)
	$(BIN)/autograder $@

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@command -v bwrap >/dev/null || echo "bubblewrap is not installed: submissions are isolated without namespaces (see: $(BIN)/autograder doctor)"
	@touch $(READY)

clean:
	rm -rf $(VENV) build dist report *.egg-info
