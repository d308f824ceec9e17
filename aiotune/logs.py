"""Every decision as one structured event: names, and where events go.

structlog is never configured globally: a search has a logger of its own.
"""

from __future__ import annotations

import datetime as dt
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

from aiotune._printable import printable

__all__ = ("SearchLog", "open_log")

SEARCH_STARTED = "search_started"
"""A search began; ``slots`` and ``why`` that many."""
SEARCH_STOPPING = "search_stopping"
"""The search ends before its budget is spent; ``reason``."""
SEARCH_INTERRUPTED = "search_interrupted"
"""The caller cancelled the search, or Ctrl-C was pressed."""
SEARCH_FAILED = "search_failed"
"""The error that search() will raise."""
SEARCH_FINISHED = "search_finished"
"""search() returns."""
SHUTDOWN_ABANDONED = "shutdown_abandoned"
"""Workers did not end in time; they die with this process."""
PROJECT_RESUMED = "project_resumed"
"""An existing project is continued; ``trials`` and ``unfinished``."""
JOURNAL_REPAIRED = "journal_repaired"
"""A torn tail of ``bytes`` was cut off the journal and kept beside it."""
SEED_CONTINUED = "seed_continued"
"""The project's own seed is used instead of the program's."""
SPACE_PROBED = "space_probed"
"""The model was built once; how many hyperparameters it asked for."""
NURSERY_READY = "nursery_ready"
"""The process that workers are forked from is ready; ``imported`` modules and seconds."""
NURSERY_LOST = "nursery_lost"
"""The process that workers are forked from died; another one is started."""
NURSERY_FAILED = "nursery_failed"
"""Workers cannot be forked here; fresh interpreters are used instead."""
ATTEMPT_STARTED = "attempt_started"
"""A trial's attempt begins on a device."""
TRIAL_COMPLETED = "trial_completed"
"""A trial has its score."""
TRIAL_FAILED = "trial_failed"
"""A trial failed for good."""
TRIAL_REJECTED = "trial_rejected"
"""A trial's model is larger than allowed."""
TRIAL_CANCELLED = "trial_cancelled"
"""A trial was stopped with the search; it runs again when the search is continued."""
TRIAL_RETRY = "trial_retry"
"""An attempt failed and the trial runs again."""
TRIAL_TIMEOUT = "trial_timeout"
"""An attempt outlived its limit and is stopped."""
RESULT_ADOPTED = "result_adopted"
"""A result that a worker wrote down while the tuner died was kept."""
SPAWN_FAILED = "spawn_failed"
"""No process could be started; tried again after ``delay`` seconds."""
PROCESSES_SWEPT = "processes_swept"
"""Processes that a trial left behind were ended."""
SINK_FAILED = "sink_failed"
"""A place where log lines were shown raised an error and is used no more."""

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_ROTATE = 32 << 20
_BUFFER = 64 << 10
_encode = msgspec.json.Encoder(order="deterministic").encode


class SearchLog:
    """Writes events as JSON lines to a file and as sentences to people.

    Args:
        path: The file; ``None``: lines are kept until :meth:`attach` names one.
        show: Takes the sentence of an event that people should know of.

    Lines are gathered and written by :meth:`flush`, at a warning, and when
    many have gathered. An event also goes to ``structlog.get_logger("aiotune")``
    if the program has configured structlog.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        show: Callable[[str], None] | None = None,
    ) -> None:
        self._path = path
        self._fd = -1 if path is None else _open(path)
        self._lines: list[bytes] = []
        self._gathered = 0
        self._show = show
        self._user = structlog.get_logger("aiotune") if structlog.is_configured() else None

    def attach(self, path: Path) -> None:
        """Write to a file from now on, and what was kept until now."""
        self._path, self._fd = path, _open(path)
        self.flush()

    def info(self, event: str, **fields: Any) -> None:
        """Record an ordinary event."""
        self._take("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Record an event that someone may have to act on."""
        self._take("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Record a failure of the search."""
        self._take("error", event, fields)

    def _take(self, level: str, event: str, fields: dict[str, Any]) -> None:
        number = _LEVELS[level]
        self._append(level, event, fields)
        if number >= _LEVELS["warning"]:
            self.flush()
        if self._show is not None and (number >= _LEVELS["warning"] or event in _SENTENCES):
            self._tell(sentence(event, fields))
        if self._user is not None:
            getattr(self._user, level)(event, **fields)

    def _append(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        record = {"timestamp": now, "level": level, "event": event}
        record.update((key, _plain(value)) for key, value in fields.items())
        line = _encode(record)
        self._lines.append(line if line.isascii() else _ascii(line))
        self._gathered += len(line)
        if self._gathered >= _BUFFER:
            self.flush()

    def _tell(self, text: str) -> None:
        assert self._show is not None
        try:
            self._show(text)
        except Exception as error:  # noqa: BLE001 - a broken pipe must not end a week of training
            self._show = None
            self.warning(SINK_FAILED, error_type=type(error).__name__, error_message=str(error))

    def flush(self) -> None:
        """Write what has gathered."""
        if self._fd < 0 or not self._lines:
            return
        data = b"\n".join(self._lines) + b"\n"
        self._lines, self._gathered = [], 0
        os.write(self._fd, data)
        if self._path is not None and os.fstat(self._fd).st_size > _ROTATE:
            os.close(self._fd)
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            self._fd = _open(self._path)

    def close(self) -> None:
        """Write what has gathered and let go of the file."""
        self.flush()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_log(path: Path | None, *, show: Callable[[str], None] | None = None) -> SearchLog:
    """Open a search's log; see :class:`SearchLog`."""
    return SearchLog(path, show=show)


def _open(path: Path) -> int:
    return os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )


def _plain(value: Any) -> Any:  # noqa: PLR0911 - one arm a kind of value
    """Return a JSON value: text made safe, numbers of any library as Python's."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return printable(value) if len(value) < 4096 else _long(value)  # noqa: PLR2004
        case BaseException():
            return printable(f"{type(value).__name__}: {value}")
        case Mapping():
            return {printable(key, 200): _plain(inner) for key, inner in value.items()}
        case Iterable():
            return [_plain(inner) for inner in value]
        case _ if hasattr(value, "item"):
            return _plain(value.item())
        case _:
            return printable(value)


def _long(text: str) -> str:
    # Of a long text the end says most: it is where a traceback has its error.
    return printable(f"...{text[-4000:]}")


def _ascii(line: bytes) -> bytes:
    import json

    return json.dumps(json.loads(line)).encode()


def sentence(event: str, fields: Mapping[str, Any]) -> str:
    """Return an event as a sentence for people."""
    shown = {key: printable(value, 300) for key, value in fields.items()}
    template = _SENTENCES.get(event)
    if template is None:
        details = "  ".join(f"{key}={value}" for key, value in shown.items() if value)
        return f"{event}  {details}"
    return template.format_map(_Blank(shown))


class _Blank(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


_SENTENCES = {
    SEARCH_STARTED: "Search with {slots} trials at a time: {why}",
    SEARCH_INTERRUPTED: (
        "Stopping {running} running trials; run the program again to continue the search."
    ),
    SEARCH_FAILED: "The search ends: {error_type}: {error_message}",
    PROJECT_RESUMED: "Continuing the project: {trials} trials, {unfinished} of them unfinished.",
    JOURNAL_REPAIRED: "The journal ended in an unfinished record ({bytes} bytes), which was cut off.",
    SEED_CONTINUED: "The project goes on with its own seed {seed}.",
    NURSERY_FAILED: "Workers cannot be forked here ({why}); each trial starts a fresh interpreter.",
    TRIAL_RETRY: (
        "Trial {trial} failed on {device} ({error_type}: {error_message}); trying again, "
        "{attempts_left} attempts left."
    ),
    TRIAL_FAILED: "Trial {trial} failed: {error}",
    TRIAL_REJECTED: "Trial {trial} was rejected: {error}",
    TRIAL_TIMEOUT: "Trial {trial} has run for more than {limit} s and is stopped.",
    RESULT_ADOPTED: "Trial {trial} had finished when the tuner died; its result was kept.",
    SPAWN_FAILED: "No process could be started ({error_message}); trying again in {delay} s.",
    SHUTDOWN_ABANDONED: "The trials {running} did not end in time; they die with this process.",
}
