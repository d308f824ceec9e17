"""What the constructors of tuners refuse, before anything is made of their arguments.

Workers import it too, with the tuner; so nothing of the parent's machinery is named at module level.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiotune._arguments import check_seconds, check_truth
from aiotune._printable import shown
from aiotune.errors import ConfigurationError, WrongType

if TYPE_CHECKING:
    from aiotune.base_tuner import BaseTuner

__all__ = (
    "check_executor",
    "check_oracle",
    "check_tuner",
    "checked_directory",
    "refuse_unknown",
    "refuse_within_a_trial",
)

_OF_KERAS_MODELS = frozenset({"executions_per_trial"})
"""Arguments that other tuners do not have, and that look like others which they have."""
_TRUTHS = ("overwrite", "allow_shared", "weigh", "halve_batch")


def refuse_unknown(cls: type, kwargs: Mapping[str, Any]) -> None:
    """Refuse keyword arguments that no constructor of a tuner knows.

    Raises:
        ConfigurationError: There are some.
    """
    if not kwargs:
        return
    of_models = sorted(_OF_KERAS_MODELS & kwargs.keys())
    similar = [found for name in kwargs for found in get_close_matches(name, _known(cls), n=1)]
    hint = f" Did you mean {', '.join(similar)}?" if similar else ""
    if of_models:
        hint = (
            f" {' and '.join(of_models)} belong{'s' if len(of_models) == 1 else ''} to the tuners of Keras "
            "models (Tuner, RandomSearch, ...). To repeat a trial here, return a list of results from "
            "run_trial(), or pass SklearnTuner a cv such as RepeatedKFold()."
        )
    raise ConfigurationError(
        f"Unrecognized arguments {shown(sorted(kwargs))} for {cls.__name__}().{hint} Check their spelling "
        f"against help({cls.__name__}); arguments for model.fit() belong to search()."
    )


def _known(cls: type) -> set[str]:
    import inspect

    found: set[str] = set()
    for base in cls.__mro__:
        if "__init__" in vars(base) and base is not object:
            found.update(inspect.signature(vars(base)["__init__"]).parameters)
    return found - {"self", "args", "kwargs"}


def check_oracle(oracle: Any) -> None:
    """Refuse what is no oracle.

    Raises:
        ConfigurationError: It is none.
    """
    if isinstance(oracle, type):
        raise ConfigurationError(
            f"Expected oracle to be an instance of aiotune.Oracle, but received the class "
            f"{oracle.__name__}. Write {oracle.__name__}()."
        )
    needed = ("create_trial", "end_trial", "update_trial", "get_best_trials")
    if not all(callable(getattr(oracle, name, None)) for name in needed):
        raise ConfigurationError(
            f"Expected oracle to be an instance of aiotune.Oracle, but received {shown(oracle)} of type "
            f"{type(oracle).__name__}. Pass one, such as aiotune.oracles.RandomSearchOracle()."
        )


def checked_directory(directory: Any) -> Path:
    """Return where projects are; the working directory for ``None``.

    Raises:
        WrongType: It is neither text nor a path.
        ConfigurationError: No file system has such a path.
    """
    if directory is None:
        return Path()
    if isinstance(directory, bytes) or not isinstance(directory, (str, os.PathLike)):
        raise WrongType(
            f"directory must be text or a pathlib.Path, but is {shown(directory)} of type "
            f"{type(directory).__name__}."
        )
    path = Path(directory)
    if "\0" in str(path):
        raise ConfigurationError(
            f"directory {shown(str(path))} holds a zero byte, which no path can. Choose another."
        )
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"directory {shown(str(path.absolute()))} is not text in UTF-8, as the journal and the workers need it. "
            "Choose another, or rename its folders; in a locale without UTF-8, set PYTHONUTF8=1."
        ) from None
    return path


def check_executor(choice: Any) -> None:
    """Refuse what cannot run trials.

    Raises:
        ConfigurationError: It cannot.
    """
    if choice in ("local", "inline") if isinstance(choice, str) else _is_executor(choice):
        return
    raise ConfigurationError(
        f"executor must be 'local', 'inline' or an Executor, not {shown(choice)}. Leave it out to run each "
        "trial in a process of its own."
    )


def _is_executor(choice: Any) -> bool:
    return not isinstance(choice, type) and callable(getattr(choice, "launch", None))


def _check_start_method(choice: Any) -> None:
    if not isinstance(choice, str) or choice not in {"auto", "fork", "spawn"}:
        raise ConfigurationError(
            f"start_method must be 'auto', 'fork' or 'spawn', but is {shown(choice)}. Leave it out to fork workers "
            "where that works, and to start fresh interpreters where it does not."
        )


def check_tuner(tuner: BaseTuner) -> None:
    """Refuse what does not depend on the oracle or the model; keep numbers as Python's own.

    Raises:
        ConfigurationError: An argument is impossible.
        WrongType: An argument is of a wrong type.
    """
    from aiotune._devices import Wanted

    Wanted(
        max_parallel_trials=tuner.max_parallel_trials,
        devices=tuner.devices,
        max_trials_per_gpu=tuner.max_trials_per_gpu,
        gpus_per_trial=tuner.gpus_per_trial,
        gpu_memory=tuner.gpu_memory,
    )
    calibration: Any = tuner.calibration
    if not isinstance(calibration, str) or calibration not in {"project", "user"}:
        raise ConfigurationError(
            f"calibration must be 'project' or 'user', but is {shown(calibration)}."
        )
    for name in ("trial_timeout", "stall_warn", "stall_timeout"):
        if getattr(tuner, name) is not None:
            setattr(tuner, name, check_seconds(name, getattr(tuner, name), also="None"))
    tuner.stop_grace = check_seconds("stop_grace", tuner.stop_grace, zero=True)
    for name in _TRUTHS:
        setattr(tuner, name, check_truth(name, getattr(tuner, name)))
    check_executor(tuner.executor)
    _check_start_method(tuner.start_method)
    tuner._layout.tuner_state(tuner.tuner_id)  # noqa: SLF001 - it refuses what is no plain name


def refuse_within_a_trial() -> None:
    """Refuse to search where a trial runs.

    Raises:
        ConfigurationError: One does.
    """
    from aiotune.worker._context import current_attempt

    if current_attempt.get() is not None:
        raise ConfigurationError(
            "search() was called within a trial. A trial trains one configuration: search in the program "
            "itself."
        )
