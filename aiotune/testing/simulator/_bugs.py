"""All bugs that can be planted."""

from __future__ import annotations

from aiotune.testing.simulator import (
    _bugs_of_attempts,  # noqa: F401 - each adds its own
    _bugs_of_deadlines,  # noqa: F401
    _bugs_of_disks,  # noqa: F401
    _bugs_of_history,  # noqa: F401
    _bugs_of_lanes,  # noqa: F401
    _bugs_of_nurseries,  # noqa: F401
    _bugs_of_records,  # noqa: F401
    _bugs_of_refusals,  # noqa: F401
    _bugs_of_sharing,  # noqa: F401
    _bugs_of_signals,  # noqa: F401
    _bugs_of_terminals,  # noqa: F401
    _bugs_of_verdicts,  # noqa: F401
)
from aiotune.testing.simulator._planting import BUGS, Bug, planted

__all__ = ("BUGS", "Bug", "planted")
