"""An interrupted training goes on where it was saved last, instead of at its first epoch.

Beside the trial's weights, ``resume.json`` says how far its training has come and
names the file of the state, with its checksum. The state is written first; then
the JSON is moved into place, which makes it count; then the state before is removed.
So a kill at any moment leaves one whole pair, and after a power cut a state that
does not match its checksum is not used.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

import keras  # noqa: TID253 - only imported where a model is trained
import msgspec

from aiotune._disk import read_private, replace_file, sha256_of, tells_full
from aiotune.wire import Report, sealed, unsealed
from aiotune.worker._checkpoints import build_as_before
from aiotune.worker._compiled import Compiled, compiled, load_state, save_whole
from aiotune.worker._context import AttemptContext
from aiotune.worker._room import complain

__all__ = ("Resumption", "SaveProgress")

_SHARE = 20
"""Training may take that many times as long as saving: saving costs 5 % at most."""


class _Execution(msgspec.Struct):
    """The epochs of one execution, and what was logged at the end of each."""

    epochs: list[int] = []
    logs: dict[str, list[float | str]] = {}

    def add(self, epoch: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            # JSON has no NaN; a metric has none for the epochs that lack it.
            series = self.logs.setdefault(name, [])
            series.extend([str(math.nan)] * (len(self.epochs) - len(series)))
            series.append(value if math.isfinite(value) else str(value))
        self.epochs.append(epoch)

    def history(self, last: int | None = None) -> SimpleNamespace:
        """Return what ``fit`` would have returned: a thing like ``History``.

        Args:
            last: Of how many epochs, the last ones; default all.
        """
        first = 0 if last is None else len(self.epochs) - last
        numbers = {name: [float(v) for v in values] for name, values in self.logs.items()}
        for values in numbers.values():
            values.extend([math.nan] * (len(self.epochs) - len(values)))
        series = {name: values[first:] for name, values in numbers.items()}
        return SimpleNamespace(history=series, epoch=self.epochs[first:])


class _Progress(msgspec.Struct):
    """How far a trial's training has come.

    ``retry`` as in ``RunAttempt``; ``done`` are finished executions, ``current``
    is the one that ``state`` belongs to; ``best`` is the best objective so far.
    """

    retry: int = 0
    done: list[_Execution] = []
    current: _Execution = msgspec.field(default_factory=_Execution)
    state: str = ""
    sha256: str = ""
    best: float | None = None


class Resumption:
    """What an earlier attempt of the same training has left, and what this one leaves.

    A trial that failed is trained afresh, with other random numbers; only what was
    interrupted goes on. Random numbers begin at the execution's seed again, so a training
    that was interrupted may differ from one that was not in what it draws.

    Args:
        context: The attempt.
        every: Least seconds between two saves; 0: after every epoch, whatever it costs;
            ``None``: nothing is saved or resumed.
    """

    def __init__(self, context: AttemptContext, every: float | None) -> None:
        self._context, self.every = context, every
        self._dir = context.trial_dir
        self._restored = False
        self._asked: Compiled | None = None
        self._file = self._dir / "resume.json"
        self._progress = self._read() or _Progress(retry=context.order.retry)

    @property
    def results(self) -> list[Any]:
        """What the executions that were finished before had returned."""
        return [execution.history() for execution in self._progress.done]

    @property
    def best(self) -> float:
        """The best objective so far; NaN before any."""
        return math.nan if self._progress.best is None else self._progress.best

    def _read(self) -> _Progress | None:
        if self.every is None:
            return None
        try:
            body = unsealed(read_private(self._file))
            found = msgspec.json.decode(body, type=_Progress)
            same = found.retry == self._context.order.retry
            whole = not found.state or sha256_of(self._dir / found.state) == found.sha256
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            complain(f"{self._file} cannot be used, so the training begins anew: {error}")
            return None
        if not whole:
            complain(f"{self._dir / found.state} is damaged, so the training begins anew")
        return found if same and whole else None

    def restore(self, model: Any) -> int | None:
        """Put a model that was just compiled into the saved state of this execution.

        Returns:
            The epoch to go on with; ``None`` if it begins at its first.
        """
        current, self._asked = self._progress.current, compiled(model)
        if not current.epochs:
            return None
        build_as_before(model, self._dir)
        try:
            load_state(model, self._dir / self._progress.state)
        except (OSError, ValueError):
            # The program builds another model now than when it was interrupted.
            self._progress.current = _Execution()
            return None
        self._restored = True
        self._tell_again(current)
        return current.epochs[-1] + 1

    def _tell_again(self, execution: _Execution) -> None:
        """Report the epochs that were trained before: the parent has forgotten an open attempt's."""
        history = execution.history()
        for position, epoch in enumerate(history.epoch):
            values = {name: values[position] for name, values in history.history.items()}
            # NaN stands for what an epoch lacked, which no pruner is to take for its objective.
            metrics = {name: value for name, value in values.items() if not math.isnan(value)}
            number = len(self._progress.done)
            self._context.say(Report(step=epoch, metrics=metrics, execution=number))

    def whole(self, result: Any) -> Any:
        """Return the history of a training, with the epochs before its interruption.

        A ``History`` does not say to which epochs the values of a metric belong that only some
        have, as with ``validation_freq``; so another is returned in its place.
        """
        current = self._progress.current
        if self._restored:
            return current.history()
        history, epochs = getattr(result, "history", None), getattr(result, "epoch", None)
        if (
            not isinstance(history, Mapping)
            or not epochs
            or epochs != current.epochs[-len(epochs) :]
        ):
            return result
        has_gaps = any(len(series) != len(epochs) for series in history.values())
        return current.history(len(epochs)) if has_gaps else result

    def callbacks(self, best: Callable[[], float]) -> list[Any]:
        """Return the callback that saves, the last one of a training; none if nothing is saved.

        Args:
            best: Returns the best objective so far.
        """
        return [] if self.every is None else [SaveProgress(self, self.every, best)]

    def add(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Take in an epoch's metrics; they are written with the next state."""
        self._progress.current.add(epoch, metrics)

    def save(self, model: Any, best: float) -> None:
        """Write the model's state and all that is known, and make it count."""
        progress, old = self._progress, self._progress.state
        number, epoch = len(progress.done), progress.current.epochs[-1]
        place = self._dir / f"resume-{number}-{epoch}.weights.h5"
        replace_file(place, partial(save_whole, model, asked=self._asked))
        digest = sha256_of(place)
        try:
            self._write(
                msgspec.structs.replace(
                    progress, state=place.name, sha256=digest, best=_finite(best)
                )
            )
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        if old and old != place.name:
            (self._dir / old).unlink(missing_ok=True)

    def finished(self, best: float, *, is_last: bool) -> None:
        """Note the end of an execution: the next one begins afresh."""
        old, done = self._progress.state, [*self._progress.done, self._progress.current]
        self._restored = False
        progress = _Progress(self._progress.retry, done, best=_finite(best))
        # After the last one only where a file would tell of a state that goes now.
        if self.every is None or (is_last and not self._file.exists()):
            self._progress = progress
            return
        try:
            self._write(progress)
        except (OSError, RuntimeError) as error:
            if not tells_full(error):
                raise
            # What is on the disk is older, and still true: an interrupted trial goes on from there.
            complain(f"the disk is full, so {self._file} was not written: {error}")
            self._progress = msgspec.structs.replace(progress, state=old)
            return
        if old:
            (self._dir / old).unlink(missing_ok=True)

    def _write(self, progress: _Progress) -> None:
        line = sealed(msgspec.json.encode(progress))
        replace_file(self._file, lambda path: path.write_bytes(line))
        self._progress = progress


class SaveProgress(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves a training after an epoch, now and then; the last of a training's callbacks."""

    def __init__(self, resumption: Resumption, every: float, best: Callable[[], float]) -> None:
        super().__init__()
        self._resumption, self._every, self._best = resumption, every, best
        self._saved = time.monotonic()
        self._cost = 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save, if the last time was long enough ago for what it costs, and more is to come."""
        if epoch + 1 == (self.params or {}).get("epochs"):
            return  # the result follows; nothing would go on from here
        began = time.monotonic()
        least = max(self._every, _SHARE * self._cost) if self._every else 0.0
        if began - self._saved < least:
            return
        try:
            self._resumption.save(self.model, self._best())
        except (OSError, RuntimeError) as error:
            if not tells_full(error):
                raise
            # Only an interruption would need it, and by the next epoch there may be space.
            complain(f"the disk is full, so epoch {epoch + 1} was not saved to go on from: {error}")
        self._saved = time.monotonic()
        self._cost = self._saved - began


def _finite(best: float) -> float | None:
    return best if math.isfinite(best) else None
