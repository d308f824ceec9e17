"""What aiotune raises: sentences with facts, under familiar classes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from aiotune import errors
from aiotune.errors import AiotuneError

_CLASSES = [getattr(errors, name) for name in errors.__all__]
_OURS = [cls for cls in _CLASSES if issubclass(cls, AiotuneError)]

Travel = Callable[[AiotuneError], AiotuneError]


def _pickled(error: AiotuneError) -> AiotuneError:
    returned = pickle.loads(pickle.dumps(error))
    assert isinstance(returned, AiotuneError)
    return returned


def test_the_hint_follows_the_message() -> None:
    """What happened, then what to do; both also stand alone."""
    error = AiotuneError("It broke.", hint="Mend it.", path="p", size=3)

    assert str(error) == "It broke. Mend it."
    assert (error.message, error.hint) == ("It broke.", "Mend it.")
    assert error.fields == {"path": "p", "size": 3}


def test_without_a_hint_the_message_is_all() -> None:
    """Nothing is appended, and there are no facts."""
    error = AiotuneError("It broke.")

    assert str(error) == "It broke."
    assert (error.hint, error.fields) == (None, {})


@pytest.mark.parametrize("travel", [_pickled, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("cls", _OURS)
def test_an_error_travels_whole(cls: type[AiotuneError], travel: Travel) -> None:
    """Class, message, hint, facts and notes survive a pickle and a copy."""
    error = cls("It broke.", hint="Mend it.", trial="0007")
    error.add_note("while the disk was full")

    returned = travel(error)

    assert type(returned) is cls
    assert str(returned) == "It broke. Mend it."
    assert returned.fields == {"trial": "0007"}
    assert returned.__notes__ == ["while the disk was full"]


@pytest.mark.parametrize("cls", _CLASSES)
def test_every_error_can_be_raised_with_a_sentence(cls: type[Exception]) -> None:
    """Each is an ordinary exception, never one that only ``except BaseException`` sees."""
    with pytest.raises(cls, match=r"^a sentence$"):
        raise cls("a sentence")


def test_the_list_of_errors_is_complete() -> None:
    """Whoever reads ``__all__`` knows all there is to catch."""
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }

    assert defined == set(errors.__all__)


@pytest.mark.parametrize(
    ("cls", "also"),
    [
        (errors.ConfigurationError, ValueError),
        (errors.PayloadError, errors.ConfigurationError),
        (errors.UnknownDirection, errors.ConfigurationError),
        (errors.MissingExtra, ImportError),
        (errors.SearchAborted, RuntimeError),
        (errors.ProjectLocked, errors.ProjectError),
        (errors.JournalCorrupt, errors.ProjectError),
        (errors.SpaceChanged, errors.ProjectError),
        (errors.StorageError, errors.ProjectError),
        (errors.NoUsableDevice, errors.DeviceError),
        (errors.OversizedModelError, errors.FailedTrialError),
    ],
)
def test_errors_are_caught_under_their_wider_names(
    cls: type[Exception], also: type[Exception]
) -> None:
    """A program may catch the built-in class, or one class for a whole kind of trouble."""
    assert issubclass(cls, also)


def test_what_a_user_raises_is_not_what_aiotune_raises() -> None:
    """``except AiotuneError`` around a search does not swallow the user's own signals."""
    signals = set(_CLASSES) - set(_OURS)

    assert signals == {
        errors.FailedTrialError,
        errors.OversizedModelError,
        errors.FatalError,
        errors.FatalValueError,
        errors.FatalTypeError,
        errors.FatalRuntimeError,
    }
