"""What the refusal of a bad input must be, so that whoever made it can mend it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import inspect
import io
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiotune.errors import AiotuneError

__all__ = ("BadInput", "check_refusal", "refusal_of")

_LONGEST = 1000
_BARE = (AttributeError, AssertionError, LookupError, NameError, BaseExceptionGroup)
"""What tells of a mistake in the program that raises it, not of its caller's."""
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@dataclass(frozen=True, slots=True)
class BadInput:
    """One mistake of a user, and what the error that answers it must be.

    Attributes:
        name: Tells it from all others.
        where: The class or function that refuses it; its docstring announces the error.
        provoke: Makes the mistake, given a folder of its own; a coroutine function may as well.
        error: The class of the error, exactly.
        says: Words of its text: which argument or thing, and the value that was given.
        remedy: Words of its text that say what to do.
        before: Prepares the folder, if something must be there already.
        cause: The class of the exception that is shown as its cause, where that one says more
            than the sentence can: the system's, or the user's own. ``None``: there is none.
        late: Why it cannot be told before a trial has run; then the project may be left. Empty: it
            is told before anything is changed.
    """

    name: str
    where: Any
    provoke: Callable[[Path], Any]
    error: type[Exception]
    says: tuple[str, ...]
    remedy: str
    before: Callable[[Path], Any] | None = None
    cause: type[BaseException] | None = None
    late: str = ""


def check_refusal(bad: BadInput, folder: Path) -> None:
    """Make a mistake, and hold its error to the rules: class, sentence, remedy, nothing left.

    Call it outside an event loop, and look for processes that are left afterwards.

    Args:
        bad: The mistake.
        folder: An empty folder.

    Raises:
        AssertionError: A rule is broken; or nothing was raised at all.
    """
    if bad.before is not None:
        _settled(bad.before(folder))
    before = dict(_files(folder))
    error = refusal_of(bad, folder)
    assert type(error) is bad.error, (
        f"raised {type(error).__name__}, not {bad.error.__name__}: {error}"
    )
    _check_class(error)
    _check_text(bad, str(error))
    _check_chain(bad, error)
    assert _announces(bad.where, bad.error), f"the docstring of {bad.where} has no {bad.error}"
    if not bad.late:
        changed = sorted(name for name, _ in set(_files(folder)) ^ set(before.items()))
        assert not changed, f"was changed on disk: {changed}"


def refusal_of(bad: BadInput, folder: Path) -> Exception:
    """Make a mistake and return the error that answers it; what is printed meanwhile is dropped."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            _settled(bad.provoke(folder))
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        return error
    raise AssertionError(f"{bad.name} was accepted")


def _settled(result: Any) -> None:
    if inspect.isawaitable(result):

        async def awaited() -> None:
            await result

        asyncio.run(awaited())


def _check_class(error: Exception) -> None:
    ours = isinstance(error, AiotuneError)
    assert ours or not isinstance(error, _BARE), f"{type(error).__name__} tells nobody what to do"


def _check_text(bad: BadInput, text: str) -> None:
    missing = [word for word in (*bad.says, bad.remedy) if word not in text]
    assert not missing, f"{missing} not in: {text}"
    assert len(text) <= _LONGEST, f"{len(text)} characters: {text}"
    assert text[-1] in ".?!", f"no sentence: {text}"
    odd = [character for character in text if unicodedata.category(character) in _UNPRINTABLE]
    assert not odd, f"{odd} in: {text!r}"


def _check_chain(bad: BadInput, error: Exception) -> None:
    """Python prints what an error is chained to above it: what is not of use there, is in the way."""
    behind = error.__cause__
    if behind is None and not error.__suppress_context__:
        behind = error.__context__
    found = None if behind is None else type(behind)
    assert found is bad.cause, f"is shown together with {behind!r}"


def _announces(where: Any, error: type[Exception]) -> bool:
    """Whether a docstring names the error, or one of its bases that ``except`` may name."""
    text = inspect.getdoc(where) or ""
    _, raises, announced = text.partition("Raises:")
    names = [cls.__name__ for cls in error.__mro__ if cls not in {AiotuneError, Exception, object}]
    return bool(raises) and any(f"{name}:" in announced for name in names)


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    """Name every file and folder, with what is in it; but for LOCK, which says who looked last."""
    for path in sorted(folder.rglob("*")):
        if path.name == "LOCK":
            continue
        content = "folder"
        if path.is_symlink():
            content = f"link to {path.readlink()}"
        elif path.is_file():
            content = hashlib.blake2b(path.read_bytes()).hexdigest()
        yield str(path.relative_to(folder)), content
