"""What a search algorithm is: a pure function of the history to the next proposal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from aiotune._values import Value, Values

if TYPE_CHECKING:
    from aiotune.hyperparameters import HyperParameters
    from aiotune.status import TrialStatus

__all__ = ("Exhausted", "History", "Proposal", "Searcher", "SearcherDecision", "Tried", "Wait")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A configuration to try.

    Attributes:
        values: Active hyperparameters by full name.
        stream: Number of the random stream within the trial that produced the
            values. A hyperparameter that only the running trial discovers is
            drawn from ``(seed, index, stream, name)``; ``None`` gives it its default.
        budget: Control data of the searcher, never mixed with the values. The
            trainer knows ``epochs`` (train up to this one), ``initial_epoch`` (from this
            one, counted from 0) and ``parent`` (the index of the trial whose
            weights and optimizer it goes on with); others are the searcher's own.
    """

    values: Values
    stream: int | None = None
    budget: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to run now: ask again when a running trial has ended."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Nothing to run ever again."""


SearcherDecision = Proposal | Wait | Exhausted


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial as a searcher sees it.

    Attributes:
        index: Position in order of creation, from 0.
        values: Final values once ended, proposed values before.
        status: Where the trial stands.
        score: The objective, or ``None`` while unknown. NaN never appears.
        memory: Bytes that training was predicted to take, once it has ended;
            ``None`` if that is not known. With the status REJECTED it tells where
            the host's memory ends.
        budget: The control data that the searcher gave its proposal.
    """

    index: int
    values: Values
    status: TrialStatus
    score: float | None
    memory: int | None = None
    budget: Mapping[str, Value] = field(default_factory=dict)


class History(Protocol):
    """The read-only past that a searcher decides from; live, so never keep a copy of a part.

    ``version`` grows whenever anything below changes other than by the
    creation of a new trial.
    """

    @property
    def version(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def space(self) -> HyperParameters: ...
    @property
    def minimize(self) -> bool: ...
    @property
    def tried(self) -> Sequence[Tried]:
        """All trials, by index."""
        ...

    @property
    def unfinished(self) -> Collection[int]:
        """Indices of the trials that have not ended."""
        ...

    def contains(self, values: Values) -> bool:
        """Whether some trial has exactly these values (proposed or final)."""
        ...


class Searcher(Protocol):
    """A search algorithm.

    ``propose`` may keep caches, but its answer is a function of ``history``
    and ``index`` alone: a searcher made anew over a replayed history must
    answer the same. So a project is continued with a searcher of the same class only. One that has
    an attribute ``settings``, a dict of numbers and text by name, is also refused where one of these
    has changed; what may change in the middle of a search does not belong in it.
    """

    @property
    def is_heavy(self) -> bool:
        """Whether ``propose`` may take over a millisecond, so that it belongs off the loop."""
        ...

    def propose(self, history: History, index: int) -> SearcherDecision:
        """Decide what the trial with this index should try."""
        ...
