"""All bugs that can be planted."""

from __future__ import annotations

from aiotune.testing.simulator import _bugs_of_attempts, _bugs_of_records  # noqa: F401 - they add theirs
from aiotune.testing.simulator._planting import BUGS, Bug, planted

__all__ = ("BUGS", "Bug", "planted")
