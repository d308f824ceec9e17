"""Decides in plain code (_core), acts in async code (_loop)."""

from aiotune.scheduler._admission import Admission, Need
from aiotune.scheduler._attempts import AttemptRunner, Hooks, Running
from aiotune.scheduler._commands import StopReason
from aiotune.scheduler._core import SchedulerCore
from aiotune.scheduler._fatal import rebuild_fatal
from aiotune.scheduler._inquiry import PROBING, WEIGHING, Deadlines, Inquirer, Overdue
from aiotune.scheduler._loop import SearchLoop
from aiotune.scheduler._losses import lost_again
from aiotune.scheduler._outcomes import exit_in_words
from aiotune.scheduler._patience import Limits
from aiotune.scheduler._timing import Timing
from aiotune.scheduler._watch import DeviceWatch
from aiotune.scheduler._weigher import Weigher

__all__ = (
    "PROBING",
    "WEIGHING",
    "Admission",
    "AttemptRunner",
    "Deadlines",
    "DeviceWatch",
    "Hooks",
    "Inquirer",
    "Limits",
    "Need",
    "Overdue",
    "Running",
    "SchedulerCore",
    "SearchLoop",
    "StopReason",
    "Timing",
    "Weigher",
    "exit_in_words",
    "lost_again",
    "rebuild_fatal",
)
