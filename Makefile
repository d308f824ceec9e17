# Two commands on a machine that has only Python and pip:
#   make quickstart   installs into .venv and tunes a digit classifier
#   make test         installs into .venv and runs the tests
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# Containers often forbid bytecode; without it every import of a back end is
# two to three times dearer, so the installed packages are compiled once. A
# package may ship a file for another Python; it stays uncompiled, that is all.
COMPILE := env -u PYTHONDONTWRITEBYTECODE $(PY) -m compileall -q -j 0 $$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))') >/dev/null || true

.PHONY: quickstart test torture simulate check format bench device clean

quickstart: $(VENV)/.quickstart
	TF_CPP_MIN_LOG_LEVEL=2 $(PY) examples/quickstart.py

test: $(VENV)/.dev
	$(PY) -m pytest

# The journal, cut, flipped and killed as often as docs/journal.md says; prints one JSON object.
torture: $(VENV)/.dev
	$(PY) -m pytest -m torture --timeout 7200 -o faulthandler_timeout=0 tests/torture tests/bad_inputs tests/process/test_full_disk.py

# Whole searches in simulated trouble, 100,000 trials of them, and then every planted bug; see docs/simulator.md.
simulate: $(VENV)/.dev
	$(PY) tests/simulation/simulate.py --trials $(or $(TRIALS),100000)
	$(PY) tests/simulation/simulate.py --bugs

check: $(VENV)/.dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.dev
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: $(VENV)/.dev
	for script in import_time tune_anything noop_trials attempt_start loop_stall; do \
	  $(PY) benchmarks/$$script.py || exit 1; done

# With the interpreter that has jax or torch for CUDA, not with .venv; see docs/device.md.
device:
	$(PYTHON) benchmarks/device/run_all.py --backend $(or $(KERAS_BACKEND),torch)

clean:
	rm -rf $(VENV) runs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade "pip>=25.1"
	touch $@

$(VENV)/.quickstart: $(VENV)/.made pyproject.toml
	$(PY) -m pip install --quiet --editable ".[quickstart]" tensorflow-cpu
	$(COMPILE)
	touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml
	$(PY) -m pip install --quiet --editable ".[quickstart]" --group dev
	$(COMPILE)
	touch $@
