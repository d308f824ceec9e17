"""Runs a guide's script as its reader would, with digits that need no download.

The guides load MNIST through keras.datasets, which downloads it. This stands
real digits of another package in for them; the script itself is untouched.

``run_guide.py SCRIPT [BYTES]``: with BYTES the host has only that much memory to give.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np


def digits() -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return scikit-learn's 1,797 digits, scaled to 28 x 28 and repeated, in MNIST's form."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = np.kron(images.reshape(-1, 8, 8), np.ones((3, 3)))
    x = np.pad(x, ((0, 0), (2, 2), (2, 2))) * (255 / 16)
    x, y = np.tile(x, (7, 1, 1)).astype("uint8"), np.tile(labels, 7).astype("uint8")
    return (x[:12000], y[:12000]), (x[12000:], y[12000:])


if __name__ == "__main__":
    script, *rest = sys.argv[1:]
    if rest:
        from aiotune import _host

        _host.available_ram = lambda: int(rest[0])
    if "keras.datasets" in Path(script).read_text():
        import keras

        keras.datasets.mnist.load_data = digits
    runpy.run_path(script, run_name="__main__")
