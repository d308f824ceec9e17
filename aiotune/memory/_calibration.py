"""What observed peaks teach of predictions."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import msgspec

from aiotune.errors import ConfigurationError
from aiotune.memory._estimate import COLD_RATIO, FLOOR

__all__ = ("Calibration", "CalibrationKey")

_VERSION = 1
_QUANTILE = 0.95
_MARGIN = 1.05
_BEYOND = 1.5
_LEAST, _MOST = 0.5, 4.0
_OBSERVATIONS, _CONTEXTS, _KEYS = 512, 8, 128
_POOLED = 64
"""Of each space at most, so that no long search speaks for all models, and so that
pooling, which is done on the event loop, takes milliseconds."""
_CONTEXT = 600 << 20
_ROUNDING = 1e-9
_LARGEST_RATIO = 1e3
_LARGEST_CONTEXT = 1 << 50


@dataclass(frozen=True, slots=True)
class CalibrationKey:
    """What an observation is true of.

    Attributes:
        space: Fingerprint of the search space. Its models resemble one another,
            so the ratio of peak to prediction hardly varies within it.
        backend: Keras's name of it, e.g. ``"tensorflow"``, ``"jax"``, ``"torch"``.
        device: Model of the device, e.g. ``"NVIDIA H200"``, or ``"cpu"``.
        dtype: What layers compute in.
    """

    space: str
    backend: str
    device: str
    dtype: str


class _Seen(NamedTuple):
    ratio: float
    censored: bool


class Calibration:
    """Peaks over predictions, and the upper bound that they make likely.

    Pure, with one owner. It keeps the last 512 observations of each of the 128
    keys that were observed last.
    """

    ENOUGH: ClassVar[int] = 5
    """So many peaks of a space say more than what is true of all models."""

    def __init__(self) -> None:
        self._seen: OrderedDict[CalibrationKey, deque[_Seen]] = OrderedDict()
        self._contexts: dict[tuple[str, str], deque[int]] = {}
        self._ratios: dict[CalibrationKey, float] = {}  # of the state as it is; asked for often

    # ── peaks ──────────────────────────────────────────────────────────────

    def observe(
        self,
        key: CalibrationKey,
        *,
        predicted: int,
        peak: int,
        context: int,
        censored: bool = False,
    ) -> None:
        """Learn from the end of one attempt.

        What is under the floor (256 MiB) is left out: the floor covers it, and a
        toy's ratio says nothing of its larger siblings.

        Args:
            key: What it is true of.
            predicted: ``training_bytes`` of the attempt's model.
            peak: The most that the attempt took, in bytes; if ``censored``, what it
                had and asked for when it got no more: its peak would have been larger.
            context: The driver's part of ``peak``; 0 for a back end's own counter.
            censored: Whether the attempt ran out of memory.
        """
        taken = peak - context
        if predicted <= 0 or taken < FLOOR:
            return
        self._remember(key, [_Seen(min(taken / predicted, _LARGEST_RATIO), censored)])

    def count(self, key: CalibrationKey) -> int:
        """Return how many whole peaks were observed; attempts that were cut short do not count."""
        return _whole(self._seen.get(key, ()))

    def ratio(self, key: CalibrationKey) -> float:
        """Return what to reserve for each predicted byte.

        With 5 peaks or more of this space, 1.05 times their 95 % quantile, within
        0.5 and 4: the ceil(0.95 (n + 1))-th smallest of n, which the next one
        exceeds in one of twenty cases whatever the distribution, once n reaches 19
        (split conformal prediction: Lei et al. 2018, "Distribution-free predictive inference
        for regression", JASA 113). With fewer the largest of 1.3, the
        same quantile over all spaces on this back end, device and dtype (the
        last 64 peaks of each), and what this space was seen to take.

        An attempt that ran out of memory is a censored value: its ratio is
        known to be larger than what it reached. So the quantile is Kaplan
        and Meier's (1958, "Nonparametric estimation from incomplete observations", JASA
        53), which equals the one above if nothing is censored. Where it lies
        beyond all whole peaks, the answer is half as much again as the
        largest censored value.
        """
        if key not in self._ratios:
            self._ratios[key] = self._bound(key)
        return self._ratios[key]

    def _bound(self, key: CalibrationKey) -> float:
        own = self._seen.get(key, deque())
        if _whole(own) >= self.ENOUGH:
            return _clamped(_upper(own))
        bounds = [COLD_RATIO]
        if own:
            bounds.append(_tail(own))
        pooled = self._pooled(key)
        if _whole(pooled) >= self.ENOUGH:
            bounds.append(_clamped(_upper(pooled)))
        return min(_MOST, max(bounds))

    def _pooled(self, key: CalibrationKey) -> list[_Seen]:
        like = (key.backend, key.device, key.dtype)
        return [
            seen
            for other, values in self._seen.items()
            if (other.backend, other.device, other.dtype) == like
            for seen in list(values)[-_POOLED:]
        ]

    # ── the driver's context ───────────────────────────────────────────────

    def observe_context(self, backend: str, device: str, bytes: int) -> None:  # noqa: A002 - the unit is the name
        """Learn what the driver and its libraries took beside the back end's memory."""
        if 0 < bytes < _LARGEST_CONTEXT:
            self._contexts.setdefault((backend, device), deque(maxlen=_CONTEXTS)).append(bytes)

    def context(self, backend: str, device: str) -> int:
        """Return the most that was seen lately, in bytes: 600 MiB before that, 0 on ``"cpu"``."""
        if device == "cpu":
            return 0
        return max(self._contexts.get((backend, device), ()), default=_CONTEXT)

    def without(self, other: Calibration) -> Calibration:
        """Return a new one that lacks the ratios of every key that another has seen."""
        result = Calibration()
        for key, values in self._seen.items():
            if key not in other._seen:
                result._remember(key, values)
        for (backend, device), contexts in self._contexts.items():
            for size in contexts:
                result.observe_context(backend, device, size)
        return result

    # ── combining and keeping ──────────────────────────────────────────────

    def merged(self, other: Calibration) -> Calibration:
        """Return a new one that has seen what both have, this one first.

        An observation that both hold counts twice. So whoever keeps one over
        several searches merges into it only what each search has added.
        """
        result = Calibration()
        for part in (self, other):
            for key, values in part._seen.items():  # noqa: SLF001 - its own class
                result._remember(key, values)
            for (backend, device), counts in part._contexts.items():  # noqa: SLF001 - as above
                for count in counts:
                    result.observe_context(backend, device, count)
        return result

    def to_dicts(self) -> dict[str, Any]:
        """Return all of it as lists, dicts, strings and numbers."""
        return {
            "version": _VERSION,
            "ratios": [
                {
                    "space": key.space,
                    "backend": key.backend,
                    "device": key.device,
                    "dtype": key.dtype,
                    "seen": [[value.ratio, value.censored] for value in values],
                }
                for key, values in self._seen.items()
            ],
            "contexts": [
                {"backend": backend, "device": device, "bytes": list(counts)}
                for (backend, device), counts in self._contexts.items()
            ],
        }

    @classmethod
    def from_dicts(cls, data: Mapping[str, Any]) -> Self:
        """Return what ``to_dicts`` was called on.

        Raises:
            ConfigurationError: It is something else, or of a newer version.
        """
        kept = _checked(data)
        result = cls()
        for entry in kept.ratios:
            key = CalibrationKey(entry.space, entry.backend, entry.device, entry.dtype)
            result._remember(key, (_Seen(*value) for value in entry.seen))
        for context in kept.contexts:
            for count in context.bytes:
                result.observe_context(context.backend, context.device, count)
        return result

    def _remember(self, key: CalibrationKey, values: Iterable[_Seen]) -> None:
        self._ratios.clear()
        self._seen.setdefault(key, deque(maxlen=_OBSERVATIONS)).extend(values)
        self._seen.move_to_end(key)
        while len(self._seen) > _KEYS:
            self._seen.popitem(last=False)


# ── statistics ─────────────────────────────────────────────────────────────


def _whole(values: Iterable[_Seen]) -> int:
    return sum(not value.censored for value in values)


def _clamped(ratio: float) -> float:
    return min(_MOST, max(_LEAST, ratio))


def _upper(values: Iterable[_Seen]) -> float:
    """Return the bound that the next value is likely to stay under."""
    # At equal ratios a censored value comes last: it is larger than it says.
    ordered = sorted(values)
    # Of the whole values only, so that a censored one can never make the rank,
    # and with it the bound, smaller.
    n = _whole(ordered)
    may_survive = 1 - _QUANTILE * (n + 1) / n + _ROUNDING
    survival = 1.0
    for left, value in zip(range(len(ordered), 0, -1), ordered, strict=True):
        if value.censored:
            continue
        survival *= 1 - 1 / left
        if survival <= may_survive:
            return _MARGIN * value.ratio
    return _tail(ordered)


def _tail(values: Iterable[_Seen]) -> float:
    """Return a bound over everything seen."""
    largest = max(values)
    return (_BEYOND if largest.censored else _MARGIN) * largest.ratio


# ── what was kept ──────────────────────────────────────────────────────────

_Ratio = Annotated[float, msgspec.Meta(gt=0, le=_LARGEST_RATIO)]
_Count = Annotated[int, msgspec.Meta(gt=0, lt=_LARGEST_CONTEXT)]


class _Ratios(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    space: str
    backend: str
    device: str
    dtype: str
    seen: list[tuple[_Ratio, bool]]


class _Contexts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    backend: str
    device: str
    bytes: list[_Count]


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    ratios: list[_Ratios]
    contexts: list[_Contexts]


def _checked(data: Mapping[str, Any]) -> _Kept:
    version = data.get("version") if isinstance(data, Mapping) else None
    if isinstance(version, int) and version > _VERSION:
        raise ConfigurationError(
            f"What was learned of memory was kept by a newer aiotune, in form {version}; this one "
            f"reads form {_VERSION}.",
            hint="Upgrade aiotune, or delete the file to learn anew.",
            version=version,
        )
    try:
        kept = msgspec.convert(data, _Kept)
    except msgspec.ValidationError as error:
        raise _nonsense(str(error)) from error
    if kept.version != _VERSION:
        raise _nonsense(f"there never was a form {kept.version}")
    return kept


def _nonsense(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"What was learned of memory cannot be read: {why}.",
        hint="Delete the file that it was kept in; it is learned anew.",
        why=why,
    )
