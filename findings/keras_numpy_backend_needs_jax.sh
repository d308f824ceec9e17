#!/usr/bin/env bash
# Keras 3.15.1 on its NumPy back end cannot be imported where SciPy and JAX are not installed.
#
# Versions: keras 3.15.1, numpy 2.4.6, scipy 1.17.1; CPython 3.11, Linux.
# Behaviour: KERAS_BACKEND=numpy chooses the back end that predicts with NumPy alone. Importing
#   keras then fails for want of scipy, and with it for want of jax: the back end's module of
#   mathematics takes the FFT from the code of the JAX back end. No requirement of the package says so.
# One would have guessed: a back end named numpy needs numpy, which keras requires anyhow.
# Seen: ModuleNotFoundError: No module named 'scipy'
#       ModuleNotFoundError: No module named 'jax'
#
# Exits 0 if that is still so, 1 if it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python="$folder/venv/bin/python"
"${PYTHON:-python3}" -m venv "$folder/venv"

expect() { # the module that is missing
  local said
  if said=$(KERAS_BACKEND=numpy HOME="$folder" "$python" -c "import keras" 2>&1); then
    echo "keras was imported on the NumPy back end, without $1"
    exit 1
  fi
  tail -n 1 <<<"$said"
  grep -q "No module named '$1'" <<<"$said" || exit 1
}

"$python" -m pip install --quiet "keras==3.15.1" "numpy==2.4.6"
expect scipy
"$python" -m pip install --quiet "scipy==1.17.1"
expect jax
