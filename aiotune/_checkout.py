"""Finds the package ``aiotune_gpu`` in a checkout that is on the path and not installed.

It lies in the folder ``gpu`` there, one level down, so that its name is its own: a user's
``gpu.py``, or folder ``gpu``, beside the program is the user's. To be imported before it.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

__all__ = ()

_FOLDER = Path(__file__).resolve().parent.parent / "gpu"

if importlib.util.find_spec("aiotune_gpu") is None and (_FOLDER / "aiotune_gpu").is_dir():
    # At the end, so that nothing of the program's is hidden by it.
    sys.path.append(str(_FOLDER))
