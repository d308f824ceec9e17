# Two commands on a machine that has only Python and pip:
#   make quickstart   installs into .venv and tunes a digit classifier
#   make test         installs into .venv and runs the tests, or those of TESTS="..."
# Both take TensorFlow where it has a release for this Python, otherwise JAX;
# KERAS_BACKEND=... asks for another one. It is chosen once for a .venv.
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
# Containers often forbid bytecode; without it every import of a back end is
# two to three times dearer, so the installed packages are compiled once. A
# package may ship a file for another Python; it stays uncompiled, that is all.
COMPILE := env -u PYTHONDONTWRITEBYTECODE $(PY) -m compileall -q -j 0 $$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))') >/dev/null || true

BACKEND = $(shell cat $(VENV)/.backend 2>/dev/null)
ON_BACKEND = KERAS_BACKEND=$(BACKEND) TF_CPP_MIN_LOG_LEVEL=2
PACKAGE_tensorflow := tensorflow-cpu>=2.18
PACKAGE_jax := jax>=0.4.35
PACKAGE_torch := torch>=2.5
PACKAGE = $(or $(PACKAGE_$(BACKEND)),$(BACKEND))
# Other interpreters that are at hand; some names on a PATH are mere signposts.
PYTHONS ?= $(shell for version in 3.11 3.12 3.13 3.14; do \
  python$$version -c '' 2>/dev/null && command -v python$$version; done)

.PHONY: quickstart test pythons torture simulate check format bench device clean

quickstart: $(VENV)/.quickstart
	@echo "Keras runs on $(BACKEND), $$($(PY) -V)."
	$(ON_BACKEND) $(PY) examples/quickstart.py

test: $(VENV)/.dev
	@echo "Keras runs on $(BACKEND), $$($(PY) -V)."
	$(ON_BACKEND) $(PY) -m pytest $(TESTS)

# A quick part of the tests on each interpreter of PYTHONS="python3.12 ...", in a .venv of its own.
pythons:
	@failed=; for python in $(PYTHONS); do \
	  version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])') || exit 1; \
	  $(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-$$version \
	    TESTS="$(or $(TESTS),tests/unit tests/contract)" || failed="$$failed $$version"; \
	done; if [ -n "$$failed" ]; then echo "Failed on:$$failed"; exit 1; fi

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
	rm -rf $(VENV) .venv-3.* runs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade "pip>=25.1"
	touch $@

# "pip index" counts releases alone: a candidate may install a Keras of its own over the released one.
$(VENV)/.backend: $(VENV)/.made FORCE
	@if [ -n "$$KERAS_BACKEND" ]; then chosen=$$KERAS_BACKEND; \
	elif [ -s $@ ]; then chosen=$(BACKEND); \
	elif $(PY) -m pip index versions tensorflow-cpu >/dev/null 2>&1; then chosen=tensorflow; \
	else chosen=jax; fi; \
	[ "$$chosen" = "$(BACKEND)" ] || echo "$$chosen" > $@

FORCE:

$(VENV)/.quickstart: $(VENV)/.backend pyproject.toml
	$(PY) -m pip install --quiet --editable ".[quickstart]" "$(PACKAGE)"
	$(COMPILE)
	touch $@

$(VENV)/.dev: $(VENV)/.backend pyproject.toml
	$(PY) -m pip install --quiet --editable ".[quickstart]" "$(PACKAGE)" --group dev
	$(COMPILE)
	touch $@
