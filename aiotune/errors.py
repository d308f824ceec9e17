"""Every exception that aiotune raises for its users.

A trial that fails is data (``Trial.failure``), not an exception. An exception
ends a search or refuses to begin one. Each message is a sentence: what
happened, to which thing, with which numbers; what to do; where to look.
"""

from __future__ import annotations

from typing import Any

__all__ = (
    "AiotuneError",
    "CheckpointDamaged",
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
    "SpawnError",
    "StorageError",
    "UnknownDirection",
    "UnknownName",
    "WrongType",
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


class WrongType(TypeError, ConfigurationError):
    """An argument is of a type that cannot stand there.

    ``except TypeError``, as in programs written for KerasTuner, catches it, and so does
    ``except ConfigurationError``.
    """

    # TypeError comes first for those who ask for the nearest built-in class; its
    # own __init__, which would be found before ours, takes no hint and no fields.
    def __init__(self, message: str = "", *, hint: str | None = None, **fields: Any) -> None:
        AiotuneError.__init__(self, message, hint=hint, **fields)


class UnknownName(AiotuneError, KeyError):
    """Nothing goes by a name that was asked for. Its text is a sentence, not a quoted key."""


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


class CheckpointDamaged(ProjectError):
    """A trial's weights are not those that it left, by their recorded checksum."""


class SpaceChanged(ProjectError):
    """The project was searched with another search space or objective."""


class StorageError(ProjectError):
    """The journal could not be written; the search cannot go on safely."""


class DeviceError(AiotuneError):
    """A device is missing, wrong or not usable."""


class NoUsableDevice(DeviceError):
    """A GPU was asked for and there is none to use."""


class SpawnError(AiotuneError):
    """No process could be started for a trial, for minutes; not the trial's fault."""


class SearchAborted(AiotuneError, RuntimeError):
    """Too many trials failed in a row."""


class InternalError(AiotuneError):
    """A bug of aiotune; please report it with the message."""
