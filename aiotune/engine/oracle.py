"""Oracles and what they compare trials by."""

from aiotune.objective import Objective
from aiotune.oracles import Oracle, synchronized

__all__ = ("Objective", "Oracle", "synchronized")
