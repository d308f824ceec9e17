"""Attempts in processes of this machine.

::

    LocalExecutor ──Popen──► nursery (imports once)
        │   ▲                   ├─fork─► keeper ──fork──► worker ── …
        │   └─ channels ────────┼─fork─► keeper ──fork──► worker ── …
        └───────────────────────┘

The nursery is not a parent that anything depends on: if it dies, running
attempts go on under their keepers, and the next launch starts another one.
"""

from __future__ import annotations

import asyncio
import errno
import os
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import anyio

from aiotune._disk import folder_within, open_private
from aiotune._offload import in_thread
from aiotune._threads import start_in_thread
from aiotune.executors._base import SpawnError, WorkSpec
from aiotune.executors._imports import imports_for, is_harmless
from aiotune.executors._nurseries import Nurseries
from aiotune.executors._nursery import Nursery
from aiotune.executors._process import ProcessWorker
from aiotune.executors._spawn import StandbyWorkers
from aiotune.executors._trust import SelfTest, end, not_its_fault, refuses_forks
from aiotune.store._outlast import held
from aiotune.wire import Failed, Packed, Payload, RunAttempt, RunProbe, pack

if TYPE_CHECKING:
    from aiotune.base_tuner import StartMethod

__all__ = ("LocalExecutor",)


_TOO_MANY_FILES = "Raise the limit with `ulimit -n`, or lower max_parallel_trials."
_UNPACKING = 10.0
_TAKES_ORDER = 600.0
"""Seconds; an order that finds no room in the channel waits for an interpreter that still imports."""
_CLOSE_DEADLINE = 30.0  # seconds; a process stuck in a driver does not die of SIGKILL


class LocalExecutor:
    """Runs each order in a process of its own.

    Args:
        payload: The program and the arguments of ``search()``.
        imports: Modules to import once for all workers; default: installed
            packages that the program refers to. Importing them must run no
            operation of a back end.
        log: Takes ``info(event, **fields)`` and ``warning(event, **fields)``.
        start: ``"fork"`` forks workers, ``"spawn"`` starts interpreters, ``"auto"`` forks if a
            self-test of keras in a fork succeeds, until a back end refuses to work in a fork.
        nursery: One that another executor left behind; used if it lives, has
            imported what is needed, its forks work, and the program has the directory, path
            and environment that it had. Owned from now on.
    """

    def __init__(
        self,
        payload: Payload,
        *,
        imports: Sequence[str] | None = None,
        log: Any = None,
        start: StartMethod = "auto",
        nursery: Nursery | None = None,
    ) -> None:
        self.log = log
        self._payload = payload
        self._imports = None if imports is None else tuple(imports)
        self._start_method = start
        self._packed: Packed | None = None
        self._nurseries = Nurseries(self._new_nursery, self._say)
        self._nurseries.current = nursery
        self._standby: StandbyWorkers | None = None
        self._self_test: SelfTest | None = None
        self._trusted: bool | None = None  # None: not known yet
        self._live: set[ProcessWorker] = set()
        self._packing = anyio.Lock()
        self._judging = anyio.Lock()
        self._closed = False

    @classmethod
    async def start(cls, payload: Payload, **options: Any) -> Self:
        """Make an executor whose nursery is already importing.

        Raises:
            PayloadError: The payload cannot travel.
            SpawnError: No process can be started.
        """
        executor = cls(payload, **options)
        try:
            await executor._begin()
        except BaseException:
            await executor.aclose()
            raise
        return executor

    @property
    def nursery_pid(self) -> int | None:
        """The process that forks workers, for messages and tests."""
        nursery = self._nurseries.current
        return nursery.pid if nursery is not None else None

    @property
    def workers(self) -> frozenset[ProcessWorker]:
        """All workers that have not ended, those that wait for an order included."""
        return frozenset(self._live)

    async def launch(self, work: WorkSpec) -> ProcessWorker:
        """Start a worker on an order.

        Raises:
            SpawnError: No process could be started.
            PayloadError: The payload cannot travel.
        """
        self._refuse_if_closed()
        try:
            log_fd = await held(start_in_thread(_open_log, work), os.close)
        except OSError as error:
            raise SpawnError(
                f"The output log {work.log_path} cannot be opened: {error}.",
                hint=_TOO_MANY_FILES
                if error.errno == errno.EMFILE
                else "Links in the place of it or of its folders are not followed.",
            ) from error
        try:
            return await self._launch(work, log_fd)
        except OSError as error:
            raise SpawnError(
                f"A worker could not be started: {error}.",
                hint=_TOO_MANY_FILES if error.errno == errno.EMFILE else None,
            ) from error
        finally:
            os.close(log_fd)

    async def aclose(self) -> None:
        """End all workers and the nursery; nothing is left on return, if the caller is cancelled as well.

        Only a process that the kernel cannot end, stuck in a driver, makes it
        give up, after half a minute.
        """
        self._closed = True
        # A task of its own: a shield of anyio's keeps off scopes, and no cancellation of the task.
        await held(asyncio.ensure_future(self._end_all()))

    async def _end_all(self) -> None:
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _CLOSE_DEADLINE):
            while self._live:
                for worker in list(self._live):
                    await worker.stop(grace=0.0)
                for worker in list(self._live):
                    await worker.wait()
            await self._nurseries.aclose()
            if self._packed is not None:
                # Giving back gigabytes takes the kernel a while.
                await in_thread(self._packed.close, deadline=_UNPACKING)
                self._packed = None

    async def _launch(self, work: WorkSpec, log_fd: int) -> ProcessWorker:
        await self._begin()
        if not isinstance(work.order, RunProbe):
            await self._judge()
        else:
            async with self._judging:
                await self._begin_self_test()
        worker = await self._ordered(work, log_fd)
        if isinstance(work.order, RunProbe) and not await self._judge():
            # It was forked while the self-test ran. What a fork says that may
            # hang or lie is not worth waiting for; a probe leaves no trace.
            await end(worker)
            worker = await self._ordered(work, log_fd)
        return worker

    async def _ordered(self, work: WorkSpec, log_fd: int) -> ProcessWorker:
        if self._standby is not None:
            worker = await self._standby.take(work.attempt_id, log_fd)
        else:
            worker = await self._fork(work.attempt_id, lambda _: log_fd)
        try:
            with anyio.fail_after(_TAKES_ORDER):
                await worker.give(work.order)
            if self._standby is not None:
                await self._standby.prepare()
        except TimeoutError:
            await end(worker)
            raise SpawnError(f"A worker took no order within {_TAKES_ORDER:g} s.") from None
        except BaseException:
            await end(worker)
            raise
        return worker

    # ── the nursery ────────────────────────────────────────────────────────

    async def _begin(self) -> None:
        """Pack the payload and start a nursery, unless that is done and it lives."""
        async with self._packing:
            self._refuse_if_closed()
            if self._packed is None:
                packing = start_in_thread(_prepare, self._payload)
                packed, imports = await held(packing, lambda made: made[0].close())
                self._packed = packed
                self._choose(packed, imports)
                await self._judge_inherited()
        await self._nurseries.begin()

    def _choose(self, packed: Packed, imports: tuple[str, ...]) -> None:
        """Decide how workers come to be, as far as that is known without a self-test."""
        if self._imports is None:
            self._imports = imports
        if packed.by_value:
            self._say("info", "payload_by_value", modules=list(packed.by_value))
        if self._start_method == "spawn":
            self._standby = StandbyWorkers(partial(self._fork, fresh=True))
        if self._start_method != "auto":
            self._trusted = True

    async def _judge_inherited(self) -> None:
        """Keep a nursery that was handed over, if it can serve this payload as well."""
        nursery = self._nurseries.current
        if nursery is None:
            return
        assert self._packed is not None
        usable = nursery.alive and nursery.trusted and self._standby is None
        if usable and nursery.holds(self._imports or (), self._packed.fd):
            self._trusted = True
        else:
            await nursery.aclose()
            self._nurseries.current = None

    def hand_over(self) -> Nursery | None:
        """Give the nursery away, for another executor of the same program; ``None`` if it is of no use."""
        nursery = self._nurseries.current
        if nursery is None or not nursery.alive or self._standby is not None or not self._trusted:
            return None
        nursery.trusted = True
        self._nurseries.current = None
        return nursery

    def _new_nursery(self) -> Nursery:
        return Nursery(self._payload_fd(), self._imports or () if self._standby is None else ())

    async def _fork(
        self, marker: str, output: Callable[[Nursery], int], *, fresh: bool = False
    ) -> ProcessWorker:
        """Have a nursery fork a worker."""
        imports = self._imports or () if fresh else ()
        started = await self._nurseries.ask(
            lambda nursery: nursery.fork(
                marker, output(nursery), self._payload_fd(), fresh=fresh, imports=imports
            )
        )
        try:
            reviewed = {} if fresh or self._start_method != "auto" else {"review": self._review}
            worker = ProcessWorker(started, (marker,), self._live.discard, **reviewed)
        except BaseException:  # too many open files, say
            started.close()
            raise
        self._live.add(worker)
        if self._closed:
            await end(worker)
            self._refuse_if_closed()
        return worker

    def _payload_fd(self) -> int:
        self._refuse_if_closed()
        assert self._packed is not None
        return self._packed.fd

    # ── can a fork be trusted? ─────────────────────────────────────────────

    async def _judge(self) -> bool:
        """Return whether the workers that exist now can be trusted; the first call finds out."""
        async with self._judging:
            await self._begin_self_test()
            if self._trusted is None:
                reason = await self._judged()
                self._trusted = reason is None
                if reason is not None:
                    self._distrust(reason)
                    return False
        return True

    async def _judged(self) -> str | None:
        """Return why forks cannot be trusted; ``None`` if they can."""
        for last in (False, False, True):
            await self._begin_self_test()
            assert self._self_test is not None
            reason = await self._self_test.verdict()
            if last or not self._self_test.interrupted:
                break
            self._self_test = None
        return reason

    async def _begin_self_test(self) -> None:
        """Fork the worker that tells whether forks work, ahead of the first real one."""
        if self._trusted is not None or self._self_test is not None:
            return
        info = (await self._nurseries.ready()).info
        assert info is not None
        imports = self._imports or ()
        self._imports = tuple(name for name in imports if name not in info.left_out)
        if info.in_use:
            self._distrust(f"{', '.join(info.in_use)} before anything was imported")
        elif "keras" not in imports:
            self._trusted = True
        else:
            worker = await self._fork(f"selftest-{uuid.uuid4().hex[:8]}", lambda n: n.output_fd)
            self._self_test = SelfTest(worker)
            await self._self_test.begin()

    def _review(self, failed: Failed) -> Failed:
        """Take a back end's word for it that it does not work in a fork: its trial runs again, for nothing."""
        if not refuses_forks(failed.failure):
            return failed
        if self._standby is None:
            # Nobody knows which import it was. Keras itself is needed by all, and starts nothing.
            self._imports = tuple(filter(is_harmless, self._imports or ()))
            self._distrust(failed.failure.summary())
        return not_its_fault(failed)

    def _distrust(self, reason: str) -> None:
        """Use fresh interpreters from now on."""
        self._trusted = False
        self._say("warning", "nursery_failed", reason=reason)
        self._standby = StandbyWorkers(partial(self._fork, fresh=True))
        self._nurseries.retire()  # the next one imports nothing

    def _say(self, level: str, event: str, **fields: Any) -> None:
        if self.log is not None:
            getattr(self.log, level)(event, **fields)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise SpawnError("The executor is closed.")


def _prepare(payload: Payload) -> tuple[Packed, tuple[str, ...]]:
    """Do what looks at files and copies data, away from the event loop."""
    packed = pack(payload)
    return packed, imports_for(payload.target, packed)


def _open_log(work: WorkSpec) -> int:
    path, order = work.log_path, work.order
    root = Path(order.project_dir) if isinstance(order, RunAttempt) else path.parent
    with folder_within(root, path.parent, make=True) as folder:
        return open_private(path.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, within=folder)
