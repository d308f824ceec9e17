"""Leads Python to the package and to the other benchmarks, on a machine that has only a copy."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ("HERE", "ROOT")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for folder in (HERE, HERE.parent, ROOT):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # behind what is installed
