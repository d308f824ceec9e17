"""Every exception that aiotune raises for its users.

A trial that fails is data (``Trial.failure``), not an exception. An exception
ends a search or refuses to begin one. Each message is a sentence: what
happened, to which thing, with which numbers; what to do; where to look.
"""

from __future__ import annotations

from typing import Any

__all__ = (
    "AiotuneError",
    "ConfigurationError",
    "DeviceError",
    "FailedTrialError",
    "FatalError",
    "FatalRuntimeError",
    "FatalTypeError",
    "FatalValueError",
    "InternalError",
    "JournalCorrupt",
    "MissingExtra",
    "NoUsableDevice",
    "OversizedModelError",
    "PayloadError",
    "ProjectError",
    "ProjectLocked",
    "SearchAborted",
    "SpaceChanged",
    "StorageError",
    "UnknownDirection",
)


class AiotuneError(Exception):
    """Root of what aiotune raises.

    Args:
        message: What happened, as a sentence.
        hint: What to do about it; appended to the message.
        **fields: The facts behind the sentence, for programs; readable as
            attributes of ``fields``.
    """

    def __init__(self, message: str = "", *, hint: str | None = None, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fields = fields

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception class is rebuilt from ``args``; keyword arguments and
        # notes live in the state, which BaseException restores into __dict__.
        return (type(self), self.args, self.__dict__)


class FailedTrialError(Exception):
    """Raise it in a trial to mark that trial FAILED without a retry."""


class OversizedModelError(FailedTrialError):
    """The trial's model has more parameters than ``max_model_size``."""


class FatalError(Exception):
    """Raise it in a trial to end the whole search at once."""


class FatalValueError(FatalError, ValueError):
    """A :class:`FatalError` that is also a ``ValueError``."""


class FatalTypeError(FatalError, TypeError):
    """A :class:`FatalError` that is also a ``TypeError``."""


class FatalRuntimeError(FatalError, RuntimeError):
    """A :class:`FatalError` that is also a ``RuntimeError``."""


class ConfigurationError(AiotuneError, ValueError):
    """The arguments cannot describe a search."""


class PayloadError(ConfigurationError):
    """Something that must reach a worker process cannot travel there."""


class UnknownDirection(ConfigurationError):
    """An objective's name does not say whether to minimise or to maximise it."""


class MissingExtra(AiotuneError, ImportError):
    """An optional dependency is needed and not installed."""


class ProjectError(AiotuneError):
    """The project directory cannot be used."""


class ProjectLocked(ProjectError):
    """Another search holds the project directory."""


class JournalCorrupt(ProjectError):
    """Synced records of the journal are damaged; nothing was changed."""


class SpaceChanged(ProjectError):
    """The project was searched with another search space or objective."""


class StorageError(ProjectError):
    """The journal could not be written; the search cannot go on safely."""


class DeviceError(AiotuneError):
    """A device is missing, wrong or not usable."""


class NoUsableDevice(DeviceError):
    """A GPU was asked for and there is none to use."""


class SearchAborted(AiotuneError, RuntimeError):
    """Too many trials failed in a row."""


class InternalError(AiotuneError):
    """A bug of aiotune; please report it with the message."""
