"""Every decision as one structured event: names, and where events go.

structlog is never configured globally: a search has a logger and a chain of
processors of its own.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import structlog

from aiotune._log_file import LogFile
from aiotune._log_values import plain
from aiotune._printable import printable
from aiotune._writer import LAST_WAIT, Writer

__all__ = ("SearchLog", "given", "open_log")

SEARCH_STARTED = "search_started"
"""A search began; ``slots`` and ``why`` that many."""
SEARCH_STOPPING = "search_stopping"
"""The search ends before its budget is spent; ``reason``."""
SEARCH_INTERRUPTED = "search_interrupted"
"""The caller cancelled the search, or Ctrl-C was pressed."""
SEARCH_UNFINISHED = "search_unfinished"
"""search() raises; ``kept`` says what is finished, and where it is."""
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
PROBE_STALLED = "probe_stalled"
"""The first build of the model came to no end, and the search goes on with the ``hyperparameters`` known by then."""
NURSERY_READY = "nursery_ready"
"""The process that workers are forked from is ready; ``imported`` modules and seconds."""
NURSERY_LOST = "nursery_lost"
"""The process that workers are forked from died; another one is started."""
NURSERY_SILENT = "nursery_silent"
"""The process that workers are forked from did not answer within ``seconds``; another one is started."""
NURSERY_LEFT_OUT = "nursery_left_out"
"""Importing ``module`` starts a back end, ``reason``; each worker imports it by itself."""
NURSERY_FAILED = "nursery_failed"
"""Workers cannot be forked here; fresh interpreters are used instead."""
PAYLOAD_BY_VALUE = "payload_by_value"
"""``modules`` that workers cannot import travel in whole."""
TRIAL_WEIGHED = "trial_weighed"
"""A trial's model was weighed: its ``parameters`` and the bytes ``predicted`` for training it."""
WEIGHED_BY_BUILDING = "weighed_by_building"
"""A model could not be weighed, so it was built for real on the CPU; ``why``."""
WEIGHED_IN_PART = "weighed_in_part"
"""A model's variables are known, but not what its layers put out; ``why``."""
WEIGHING_FAILED = "weighing_failed"
"""Nothing could be found out of a model's size, so its trial gets a device alone; ``why``."""
WEIGHING_STALLED = "weighing_stalled"
"""A weighing did not end, and was ended; ``stacks`` of its threads, which are in ``log``, too."""
SHARING_LIMITED = "sharing_limited"
"""From now on at most so many trials share a device, as measured; ``reason``."""
DEVICE_HANGS = "device_hangs"
"""The driver has not returned from a call about a GPU: it gets no new trial until it does; ``reason``, and the
``age`` of its last answer in seconds. What runs there goes on; after half a minute it is quarantined."""
DEVICE_QUARANTINED = "device_quarantined"
"""A GPU is used no more; ``reason``, and the trials that run elsewhere."""
DEVICE_BACK = "device_back"
"""A GPU that was quarantined answers, or has its memory back, and gets trials again."""
DEVICE_FAULT = "device_fault"
"""What ran on a GPU did something wrong there; ``fault``, and the trials that were there."""
CLAIMS_UNUSABLE = "claims_unusable"
"""Other searches of this host do not see which GPUs this one holds, nor it theirs; ``reason``."""
DEVICES_IN_DOUBT = "devices_in_doubt"
"""CUDA_VISIBLE_DEVICES may mean other GPUs, or leaves some out; ``reason``."""
PARENT_HOLDS_MEMORY = "parent_holds_memory"
"""The program itself holds memory of a GPU that trials could have."""
WAITING_FOR_MEMORY = "waiting_for_memory"
"""Nothing runs, and the next trial waits until others free memory."""
CALIBRATION_UNREADABLE = "calibration_unreadable"
"""What earlier searches of this user taught about memory cannot be read, or added to."""
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
TRIAL_TERMINATED = "trial_terminated"
"""Somebody else ended a trial's worker, and those of ``others`` with it; the trial runs again."""
TRIAL_PRUNED = "trial_pruned"
"""A pruner ends a trial's training early; ``reason``."""
PRUNER_IDLE = "pruner_idle"
"""A pruner ends nothing with ``executor="inline"``: what a trial reports is heard at its end."""
TRIAL_STALLED = "trial_stalled"
"""An attempt shows no sign of life; the stacks of its threads are in its ``log``."""
TRIAL_TIMEOUT = "trial_timeout"
"""An attempt outlived its limit and is stopped."""
PROJECT_IMPORTED = "project_imported"
"""A project of KerasTuner was taken over; ``notes`` say what was left out or needs a look."""
RESULT_ADOPTED = "result_adopted"
"""A result that a worker wrote down while the tuner died was kept."""
RESULT_UNREADABLE = "result_unreadable"
"""The disk does not show within a minute whether a worker has written its result down: the trial runs again."""
SPAWN_FAILED = "spawn_failed"
"""No process could be started; tried again after ``delay`` seconds."""
PROCESSES_SWEPT = "processes_swept"
"""Processes that a trial left behind were ended."""
DISK_FULL = "disk_full"
"""The journal cannot grow, so the search pauses; told again each minute. ``reason``, ``free_bytes``."""
DISK_HAS_SPACE = "disk_has_space"
"""Everything is recorded, and the search goes on, after ``waited`` seconds."""
TRIAL_WAITS = "trial_waits"
"""A file of a trial finds no space, so its training stands still; told again each minute. ``free_bytes``."""
TRIAL_GOES_ON = "trial_goes_on"
"""There is space for the file that a training waited for, after ``waited`` seconds."""
STATE_NOT_SAVED = "state_not_saved"
"""A subclass's own state could not be written, for want of space or since the disk hangs; it is tried again at the next trial's end."""
CALLBACK_SLOW = "callback_slow"
"""A hook of the tuner has run in its thread for ``seconds``; the other hooks wait for it."""
CALLBACK_BLOCKS = "callback_blocks"
"""A hook that is a coroutine has held the event loop for ``seconds`` without an ``await``."""
CALLBACK_REFUSES_CANCELLATION = "callback_refuses_cancellation"
"""The search ends without a hook that does not end; ``stack`` says where it is."""
WEIGHTS_NOT_REMOVED = "weights_not_removed"
"""Weights that nobody can ask for any more could not be removed; the next search tries again."""
SINK_FAILED = "sink_failed"
"""A place where events were shown raised an error and is used no more."""
LOG_LOST = "log_lost"
"""The log's file could not be written and is used no more."""
LINES_LEFT_OUT = "lines_left_out"
"""So many ``lines`` are not in the log: its file was not written as fast as they came."""

_BUFFER = 64 << 10
_WAITING = 4 << 20
"""Characters that may wait for a file which hangs."""
_KEPT = 1000
"""Lines kept while there is no file."""
_encode = msgspec.json.Encoder().encode
_Event = MutableMapping[str, Any]
_Logger = structlog.make_filtering_bound_logger(logging.DEBUG)


class SearchLog:
    """Writes events as JSON lines to a file and as sentences to people.

    Args:
        path: The file; ``None``: lines are kept until :meth:`attach` names one.
        show: Takes the sentence of an event that people should know of.

    Lines are gathered and written at :meth:`flush`, at a warning, and when
    many have gathered: by a thread of the log's own, so that no event waits for a file.
    An event also goes to ``structlog.get_logger("aiotune")``
    if the program has configured structlog. Whatever fails while an event is
    written or shown is said once and then left out: a log never ends a search.

    Raises:
        ProjectError: The file cannot be opened, or is a symbolic link.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        show: Callable[[str], None] | None = None,
    ) -> None:
        self._early: deque[str] = deque(maxlen=_KEPT)
        self._file: LogFile | None = None
        self._writer: Writer[None] | None = None
        self._gathered = 0
        self._show = show
        self._user = structlog.get_logger("aiotune") if structlog.is_configured() else None
        self._logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
            structlog.ReturnLogger(),
            processors=(_safe, self._write, self._tell, self._forward, _drop),
            wrapper_class=_Logger,
            context_class=dict,
            cache_logger_on_first_use=True,
        )
        if path is not None:
            self.attach(LogFile(path))

    def attach(self, file: LogFile) -> None:
        """Write to a file from now on, and what was kept until now."""
        self._file, self._writer = file, Writer(file, _left_out, most=_WAITING)
        self._writer.put(*self._early)
        self._early.clear()

    def bind(self, **fields: Any) -> structlog.typing.FilteringBoundLogger:
        """Return a logger that adds fields to each of its events."""
        return self._logger.bind(**fields)

    def info(self, event: str, **fields: Any) -> None:
        """Record an ordinary event."""
        self._logger.info(event, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Record an event that someone may have to act on."""
        self._logger.warning(event, **fields)

    def error(self, event: str, **fields: Any) -> None:
        """Record a failure of the search."""
        self._logger.error(event, **fields)

    # Processors, in the order of the chain.

    def _write(self, _: Any, level: str, event: _Event) -> _Event:
        line = _line(level, event)
        if self._writer is None:
            self._early.append(line)
            return event
        self._writer.put(line, wake=False)
        self._gathered += len(line)
        if self._gathered >= _BUFFER or _matters(level):
            self.flush()
        return event

    def _tell(self, _: Any, level: str, event: _Event) -> _Event:
        if self._show is not None and (_matters(level) or event["event"] in _SENTENCES):
            try:
                self._show(sentence(event["event"], event))
            except Exception as error:  # noqa: BLE001 - a broken pipe must not end a week of training
                self._show = None
                self.warning(SINK_FAILED, sink="The terminal", error=error)
        return event

    def _forward(self, _: Any, level: str, event: _Event) -> _Event:
        if self._user is not None:
            try:
                getattr(self._user, level)(**event)
            except Exception as error:  # noqa: BLE001 - the program's processors are not the search's
                self._user = None
                self.warning(SINK_FAILED, sink="The program's structlog", error=error)
        return event

    def flush(self) -> None:
        """Have written what has gathered."""
        if self._writer is not None and self._file is not None:
            if self._gathered or self._file.behind:
                self._gathered = 0
                self._writer.wake()
            self._tell_of_loss(self._file, self._writer)

    def _tell_of_loss(self, file: LogFile, writer: Writer[None]) -> None:
        error = writer.take_error()
        if error is not None:
            self._writer = None
            self.warning(LOG_LOST, path=file.path, error=error)

    async def aclose(self, seconds: float = LAST_WAIT) -> None:
        """Have all written, wait for that for so many seconds, and let go of the file."""
        if self._writer is not None and self._file is not None:
            await self._writer.aclose(seconds)
            self._tell_of_loss(self._file, self._writer)

    def close(self) -> None:
        """Do the same where no event loop runs."""
        if self._writer is not None and self._file is not None:
            self._writer.join()
            self._tell_of_loss(self._file, self._writer)


def open_log(path: Path | None, *, show: Callable[[str], None] | None = None) -> SearchLog:
    """Open a search's log; see :class:`SearchLog`."""
    return SearchLog(path, show=show)


def _line(level: str, event: Mapping[str, Any]) -> str:
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    line = _encode({"timestamp": now, "level": level, "event": event["event"], **event})
    return line.decode() if line.isascii() else json.dumps(json.loads(line))


def _left_out(count: int) -> str:
    return _line("warning", {"event": LINES_LEFT_OUT, "lines": count})


def _matters(level: str) -> bool:
    return level not in {"debug", "info"}


def _drop(_: Any, __: str, ___: _Event) -> NoReturn:
    raise structlog.DropEvent  # everything is done: no logger is behind the chain


def _safe(_: Any, __: str, event: _Event) -> _Event:
    return {printable(key, 200): plain(value) for key, value in event.items()}


def sentence(event: str, fields: Mapping[str, Any]) -> str:
    """Return an event as a sentence for people."""
    shown = {k: printable(v, 300) for k, v in fields.items() if k != "event" and v is not None}
    template = _SENTENCES.get(event)
    if template is None:
        return "  ".join([event, *(f"{key}={value}" for key, value in shown.items() if value)])
    return template.format_map(_Blank(shown, given=given(fields.get("hp"))))


def given(values: Mapping[str, Any] | None) -> str:
    """Return the values of a trial as the end of what is said of it: `` with units=32, lr=0.1``."""
    if not values:
        return ""
    return printable(f" with {', '.join(f'{name}={value}' for name, value in values.items())}", 200)


class _Blank(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


_SENTENCES = {
    SEARCH_STARTED: "Trials at a time: {slots}, {why}",
    SEARCH_INTERRUPTED: ("Stopping {running} running trials, which may take up to {grace} s."),
    SEARCH_FAILED: "The search ends: {error_type}: {error_message}",
    SEARCH_UNFINISHED: "{kept}; run the program again to go on.",
    PROJECT_RESUMED: "Continuing the project: {trials} trials, {unfinished} of them unfinished.",
    JOURNAL_REPAIRED: "The journal ended in an unfinished record ({bytes} bytes), which was cut off.",
    SEED_CONTINUED: "The project goes on with its own seed {seed}.",
    NURSERY_SILENT: "The process that forks workers (pid {pid}) did not answer within {seconds} s; another is started.",
    NURSERY_LEFT_OUT: (
        "To import {module} starts a back end ({reason}), after which no fork can use it: each trial imports it anew."
    ),
    NURSERY_FAILED: "Workers cannot be forked here ({reason}); each trial starts a fresh interpreter.",
    PRUNER_IDLE: "The pruner {pruner} ends nothing. {hint}",
    TRIAL_RETRY: (
        "Trial {trial} failed on {device} ({error_type}: {error_message}); trying again, "
        "{attempts_left} attempts left."
    ),
    TRIAL_TERMINATED: (
        "Somebody else ended the worker of trial {trial} by {signal} (and those of trials {others}); the "
        "trial runs again."
    ),
    DEVICE_HANGS: "{device} gets no new trial until its driver answers: {reason}",
    DEVICE_QUARANTINED: (
        "{device} gets no more trials: {reason} {devices_left} other GPUs are in use."
    ),
    DEVICE_BACK: "{device} answers, or has its memory back, and gets trials again.",
    DEVICE_FAULT: "{device} reported {fault}; trials {trials} ran there.",
    PARENT_HOLDS_MEMORY: "This program itself holds {bytes} bytes of {device}. {hint}",
    CLAIMS_UNUSABLE: (
        "Other searches of this host do not see which GPUs this one holds, nor it theirs ({reason}); what "
        "the driver tells of their memory is all it goes by."
    ),
    DEVICES_IN_DOUBT: "{reason}",
    WAITING_FOR_MEMORY: "Nothing runs until others free memory: {reason}",
    CALIBRATION_UNREADABLE: "What earlier searches taught is not used: {path}: {error_message}",
    TRIAL_FAILED: "Trial {trial} failed{given}: {error}",
    TRIAL_REJECTED: "Trial {trial} was rejected{given}: {error}",
    PROBE_STALLED: (
        "The first build of the model {why} and was ended; {hint} Where its threads were: {log}"
    ),
    WEIGHING_STALLED: (
        "Weighing the model of trial {trial} {why} and was ended; the trial will run alone. Where its "
        "threads were: {log}"
    ),
    TRIAL_STALLED: (
        "Trial {trial} shows no sign of life for {seconds} s, with {cpu_seconds} s of CPU time used. "
        "Where its threads are: {log}"
    ),
    TRIAL_TIMEOUT: "Trial {trial} has run for more than {limit} s and is stopped.",
    RESULT_ADOPTED: "Trial {trial} had finished when the tuner died; its result was kept.",
    RESULT_UNREADABLE: "Trial {trial}: its result, if there is one, could not be read: {error_message}",
    SPAWN_FAILED: "No process could be started ({error_message}); trying again in {delay} s.",
    DISK_FULL: (
        "The search pauses: {path} cannot grow ({reason}, {free_bytes} bytes are free). Nothing is lost; "
        "it goes on when there is space."
    ),
    DISK_HAS_SPACE: "There is space again; the search goes on after {waited} s.",
    TRIAL_WAITS: "Trial {trial} waits for space on the disk to write {path} ({free_bytes} bytes are free).",
    TRIAL_GOES_ON: "There is space again; trial {trial} goes on after {waited} s.",
    STATE_NOT_SAVED: "{path} was not written ({error_message}); it is tried again later.",
    CALLBACK_SLOW: "{callback}() has run for {seconds} s; other hooks, and the trials' slots, wait for it.",
    CALLBACK_BLOCKS: "{callback}() has held the event loop for {seconds} s; a plain function would not.",
    CALLBACK_REFUSES_CANCELLATION: "{callback}() does not end; the search goes on without it. It is at {stack}.",
    LOG_LOST: "The log {path} cannot be written ({error}); the search goes on without it.",
    SINK_FAILED: "{sink} cannot be written ({error}); the search goes on without it.",
    SHUTDOWN_ABANDONED: "The trials {running} did not end in time; they die with this process.",
}
