"""What is known of a back end's memory, looked up by its name; of one that is not here, what is safe.

Keras finds its back ends by name, and this package trains on whichever it finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

__all__ = ("UNKNOWN", "Habits", "habits")

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Habits:
    """How a back end treats memory. The defaults are those of one of which nothing is known.

    Attributes:
        host_private: Bytes of the host's memory that a forked worker was seen to dirty.
        updates_at_once: Whether an update of the weights holds intermediate values of all of
            them. Unknown: yes, which only predicts more; peaks correct it.
        holds_gradients: Whether all gradients certainly live until the update. Unknown: no,
            since a model is refused for good on this ground.
        traced_margin: What a traced peak is multiplied with, since it does not see what libraries
            take for themselves; ``None`` where a step is not traced.
    """

    host_private: int = 136 * _MIB
    updates_at_once: bool = True
    holds_gradients: bool = False
    traced_margin: float | None = None


UNKNOWN = Habits()
_KNOWN = MappingProxyType(
    {
        "tensorflow": Habits(host_private=65 * _MIB, updates_at_once=False),
        # Convolutions were seen to take 1.7 times what was traced (benchmarks/memory_estimate.py).
        "jax": Habits(host_private=136 * _MIB, updates_at_once=False, traced_margin=1.7),
        "torch": Habits(host_private=23 * _MIB, holds_gradients=True, traced_margin=1.1),
    }
)


def habits(backend: str | None) -> Habits:
    """Return what is known of a back end; :data:`UNKNOWN` if it is another one, or ``None``."""
    return UNKNOWN if backend is None else _KNOWN.get(backend, UNKNOWN)
