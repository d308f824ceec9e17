"""What may go wrong in a simulated search, as data: a name and a line of meaning each."""

from __future__ import annotations

from enum import Enum

__all__ = (
    "CHANNEL",
    "CLOCK",
    "DEVICE",
    "DISK",
    "ENDING",
    "JOB",
    "LANES",
    "NEIGHBOUR",
    "NURSERY",
    "ORACLE",
    "PROGRAM",
    "SPAWN",
    "TERMINAL",
    "TUNER",
    "USER",
    "WEIGHING",
    "Fault",
)


class Fault(Enum):
    """One kind of trouble; the value says what happens."""

    # ── the program of a trial ─────────────────────────────────────────────
    RAISES = "the program raises an exception"
    RAISES_NASTY_TEXT = "the exception's text has control characters and is long"
    FAILED_TRIAL = "the program raises FailedTrialError"
    FATAL = "the program raises FatalError"
    BAD_RESULT = "the program returns what cannot be a result"
    OVERSIZED = "the model is found to be too large when the program runs"
    HOPELESS = "the loss is, and stays, beyond all hope"
    NOT_A_NUMBER = "the objective is NaN"
    INFINITE = "the objective is infinite"
    MEMORY_ERROR = "the host's memory runs out in the program"
    DEVICE_MEMORY = "the device's memory runs out in the program"
    WORKSPACE_MEMORY = "a library of the driver finds no memory"
    FOREIGN_MEMORY_ERROR = "memory runs out since others took it"
    MANY_METRICS = "the result has three hundred metrics"
    COMPILES = "it computes for long on the CPU alone before its first epoch"
    SLOW = "the training takes fifty times as long"
    # ── how its process ends ───────────────────────────────────────────────
    SEGFAULT = "SIGSEGV in the middle of the training"
    ABORT = "SIGABRT in the middle of the training"
    BUS_ERROR = "SIGBUS in the middle of the training"
    OOM_KILLED = "the kernel's out-of-memory killer ends it"
    KILLED = "somebody sends SIGKILL"
    TERMINATED = "somebody sends SIGTERM"
    EXIT_WITHOUT_RESULT = "it exits with 0 and says nothing"
    SYS_EXIT = "it calls sys.exit(3)"
    DIES_BEFORE_HELLO = "it dies before it says hello"
    DIES_BEFORE_RESULT = "it dies between the last epoch and the result"
    DIES_AFTER_RESULT = "it sends the result and then dies of SIGSEGV"
    HANGS_AFTER_RESULT = "it sends the result and does not end"
    HANGS = "it hangs, and ends when it is asked to"
    HANGS_DEAF = "it hangs and ignores SIGTERM"
    SPINS = "it computes for ever and says nothing"
    WAITS_SPINNING = "it waits for its device for ever, and spins on the CPU"
    STOPPED = "it is stopped by SIGSTOP in the middle of an epoch"
    UNINTERRUPTIBLE = "it hangs in a driver, and SIGKILL takes half a minute"
    LEAVES_CHILDREN = "it leaves processes behind, which are swept"
    KEEPER_KILLED = "its keeper is killed, and it with it"
    # ── what the tuner hears of it ─────────────────────────────────────────
    RESULT_NOT_SENT = "the result is written down, and the process dies before it is sent"
    RESULT_TWICE = "the result is sent twice"
    REPORT_AFTER_RESULT = "a report of an epoch comes after the result"
    REPORT_TWICE = "every report comes twice"
    GARBAGE = "other bytes are written to the channel"
    OVERSIZE_FRAME = "a frame claims two gigabytes"
    TORN_FRAME = "the channel ends in the middle of the result"
    SPLIT_FRAMES = "every frame comes byte for byte"
    CHANNEL_CLOSED = "the program closes the channel and goes on"
    SILENT = "no report comes until the result"
    # ── starting processes ─────────────────────────────────────────────────
    SPAWN_FAILS = "no process can be started, once"
    SPAWN_FAILS_OFTEN = "no process can be started for three tries"
    SPAWN_NEVER = "no process can be started any more"
    SLOW_SPAWN = "starting a process takes ten seconds"
    # ── devices ────────────────────────────────────────────────────────────
    DEVICE_LOST = "a device falls off the bus"
    XID_BREAKING = "the driver reports a fault that needs a reset"
    XID_HARMLESS = "the driver reports a fault of a program"
    DRIVER_SILENT = "the driver does not answer three times, or for two minutes"
    DRIVER_TELLS_NOTHING = "the driver does not tell which process uses what"
    FOREIGN_MEMORY = "another user takes memory of a device"
    MEMORY_LATE = "memory is given back seconds or minutes after the process's end"
    MEMORY_LEAKED = "memory is given back only when the driver is restarted"
    # ── other searches of the host ─────────────────────────────────────────
    ANOTHER_SEARCH = "another search of the host claims a device and uses it, and ends or is killed"
    # ── the disk ───────────────────────────────────────────────────────────
    DISK_FULL = "there is no space for some minutes"
    WRITE_ERROR = "a write fails with EIO, and half of it is there"
    SYNC_ERROR = "a sync fails with EIO"
    SLOW_SYNC = "a sync takes twenty seconds"
    JOURNAL_REPLACED = "somebody puts a copy into the place of the journal's segment"
    POWER_LOSS = "the power fails: sectors that were not synced may be lost"
    # ── the tuner's process ────────────────────────────────────────────────
    KILLED_BEFORE_WRITE = "the tuner is killed before a batch is written"
    KILLED_IN_WRITE = "the tuner is killed in the middle of a write"
    KILLED_BEFORE_SYNC = "the tuner is killed after a write, before its sync"
    KILLED_AFTER_SYNC = "the tuner is killed after a sync, before anybody hears of it"
    TUNER_KILLED = "the tuner is killed at some moment"
    # ── clocks ─────────────────────────────────────────────────────────────
    CLOCK_JUMPS = "the wall clock jumps by an hour, back or forth"
    SUSPENDED = "the host sleeps for ten minutes"
    # ── users ──────────────────────────────────────────────────────────────
    INTERRUPTED = "Ctrl-C: the search's task is cancelled"
    INTERRUPTED_TWICE = "Ctrl-C, and again two seconds later"
    SIGTERM = "the tuner is asked to end by SIGTERM"
    CALLBACK_RAISES = "on_trial_begin or on_trial_end raises"
    CALLBACK_SLOW = "on_trial_end takes ten seconds"
    ORACLE_RAISES = "the oracle raises when it is asked for a trial"
    SECOND_SEARCH = "the same program is started a second time"
    BUDGET_RAISED = "the search is continued with a larger budget"
    SEARCHED_AGAIN = "the finished search is run a second time"
    # ── weighing ───────────────────────────────────────────────────────────
    WEIGHING_HANGS = "the build of a model that is weighed dead-locks in native code"
    WEIGHING_SPINS = "the build of a model that is weighed computes for ever"
    WEIGHING_SLOW = "weighing a model takes long, and it computes meanwhile"
    # ── terminals and batch systems ────────────────────────────────────────
    SIGHUP = "the tuner's terminal is closed: SIGHUP, twice"
    JOB_ENDED_WORKERS_FIRST = "SIGTERM to the whole job, and the workers are the first to go"
    JOB_ENDED_TUNER_FIRST = "SIGTERM to the whole job, and the tuner is the first to hear of it"
    WORKERS_ENDED = "somebody ends all workers by SIGTERM, and the tuner lives on"
    WORKER_ENDED = "somebody ends one worker by SIGTERM"
    # ── oracles of one's own ───────────────────────────────────────────────
    ORACLE_AWAITS = "the oracle has decided, and awaits something before it says so"
    # ── where it tells what happens ────────────────────────────────────────
    TERMINAL_UNREAD = "nobody reads the terminal for minutes, or ever again"
    TERMINAL_GONE = "the terminal hangs up, and a write fails with EIO"
    LOG_HANGS = "events.log is on a server that does not answer for minutes, or ever again"
    # ── calls that hang ────────────────────────────────────────────────────
    DRIVER_HANGS = "the driver does not return from calls about one device for seconds or minutes"
    DRIVER_SLOW = "each call of the driver takes a second and a half, for half a minute"
    DRIVER_STUCK = "who asks the driver is stuck for five minutes, past all deadlines"
    DISK_HANGS = "a file server does not answer for twenty or fifty seconds"
    DEVICE_DIES = "a device falls off the bus, and all processes on it die in the same moment"
    # ── the process that forks workers, and the host ───────────────────────
    NURSERY_DIES = "the process that forks workers dies while launches wait for it"
    NURSERY_STOPPED = "the process that forks workers is stopped, and answers nobody"
    FORK_REFUSED = "the back end does not work in a fork: an import had started it"
    FOREIGN_OOM_KILL = "the kernel kills somebody else's process for want of memory"


def _between(first: Fault, last: Fault) -> tuple[Fault, ...]:
    everything = list(Fault)
    return tuple(everything[everything.index(first) : everything.index(last) + 1])


PROGRAM = _between(Fault.RAISES, Fault.SLOW)
"""Of what the program of a trial does."""
ENDING = _between(Fault.SEGFAULT, Fault.KEEPER_KILLED)
"""Of how a trial's process ends."""
CHANNEL = _between(Fault.RESULT_NOT_SENT, Fault.SILENT)
"""Of what the tuner hears of a trial's process."""
SPAWN = _between(Fault.SPAWN_FAILS, Fault.SLOW_SPAWN)
"""Of starting processes."""
DEVICE = _between(Fault.DEVICE_LOST, Fault.MEMORY_LEAKED)
"""Of GPUs and their driver."""
NEIGHBOUR = (Fault.ANOTHER_SEARCH,)
"""Of other searches."""
DISK = _between(Fault.DISK_FULL, Fault.POWER_LOSS)
"""Of the disk."""
TUNER = _between(Fault.KILLED_BEFORE_WRITE, Fault.TUNER_KILLED)
"""Of the tuner's own process."""
CLOCK = _between(Fault.CLOCK_JUMPS, Fault.SUSPENDED)
"""Of clocks."""
USER = _between(Fault.INTERRUPTED, Fault.SEARCHED_AGAIN)
"""Of people."""
WEIGHING = _between(Fault.WEIGHING_HANGS, Fault.WEIGHING_SLOW)
"""Of what a process does that weighs a model."""
JOB = _between(Fault.SIGHUP, Fault.WORKER_ENDED)
"""Of signals that others send to the tuner's processes."""
ORACLE = _between(Fault.ORACLE_AWAITS, Fault.ORACLE_AWAITS)
"""Of oracles with methods of their own."""
TERMINAL = _between(Fault.TERMINAL_UNREAD, Fault.LOG_HANGS)
"""Of the terminal and the log."""
LANES = _between(Fault.DRIVER_HANGS, Fault.DEVICE_DIES)
"""Of calls that hang, and of what many calls find out at once."""
NURSERY = _between(Fault.NURSERY_DIES, Fault.FOREIGN_OOM_KILL)
"""Of the process that forks workers, and of the host beside them."""
