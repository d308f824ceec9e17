"""The user's own callbacks, one copy for each execution; what they write, in a directory of its own."""

from __future__ import annotations

import copy
import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras  # noqa: TID253 - only imported where a model is trained

from aiotune.errors import FatalTypeError, FatalValueError
from aiotune.hyperparameters import Boolean, Choice, Fixed, Float, HyperParameter, Int

if TYPE_CHECKING:
    from aiotune.trial import Trial

__all__ = ("execution_callbacks",)


def execution_callbacks(callbacks: Any, trial: Trial, execution: int) -> list[Any]:
    """Copy the user's callbacks, so that no execution sees the state of another.

    What Keras's own write, several trials would write at once, into the same files. A ``TensorBoard``
    writes to ``<log_dir>/<trial_id>/execution<k>``, with the hyperparameters for TensorBoard's HParams
    page if its package is installed; ``ModelCheckpoint`` and ``CSVLogger`` write below such a directory
    beside the file that they name, and ``BackupAndRestore`` into one for each attempt: an
    attempt that is to go on does so from its own state, and one that failed begins anew.

    Args:
        callbacks: What ``search(callbacks=...)`` was given: a list, one callback, or ``None``.
        trial: Whose execution it is.
        execution: Which one, from 0.

    Raises:
        FatalTypeError: Something in the list is no callback.
        FatalValueError: One of them cannot be copied.
    """
    copies = [_copied(callback) for callback in _listed(callbacks)]
    own = f"{trial.trial_id}/execution{execution}"
    folders = [folder for callback in copies if (folder := _parted(callback, own, trial.attempts))]
    # By its exact name, as KerasTuner does: a subclass may log elsewhere.
    boards = [c for c in copies if type(c).__name__ == "TensorBoard"]
    for board in boards:
        board.log_dir = f"{os.fspath(board.log_dir).rstrip('/')}/{own}"
    hparams = [made for board in boards for made in _hparams(board.log_dir, trial)]
    return [*map(_Folder, folders), *copies, *hparams]


_FILES = {"ModelCheckpoint": "filepath", "CSVLogger": "filename"}
"""The attribute that names the file which a callback writes."""


def _parted(callback: Any, own: str, attempt: int) -> str | None:
    """Give what a callback writes a place of its own; return the directory that it does not make itself."""
    names = {cls.__name__ for cls in type(callback).__mro__}
    for name in names & _FILES.keys():
        # Text, not a Path: that would make gs:/ of gs://.
        folder, slash, file = getattr(callback, _FILES[name]).rpartition("/")
        folder = f"{folder}{slash}{own}"
        setattr(callback, _FILES[name], f"{folder}/{file}")
        return None if "://" in folder else folder
    if "BackupAndRestore" in names:
        before = f"{os.fspath(callback.backup_dir).rstrip('/')}/"
        after = f"{before}{own.replace('/', '-')}-attempt{attempt}/"
        callback.backup_dir = after
        paths = {
            k: v for k, v in vars(callback).items() if isinstance(v, str) and k != "backup_dir"
        }
        for attribute, path in paths.items():
            if path.startswith(before):
                setattr(callback, attribute, after + path[len(before) :])
    return None


class _Folder(keras.callbacks.Callback):  # type: ignore[misc]
    """Makes a directory when the training begins; before that, the model may only be weighed."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        Path(self._path).mkdir(parents=True, exist_ok=True)


def _listed(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    if isinstance(callbacks, keras.callbacks.Callback):
        return [callbacks]
    listed = list(callbacks)
    for callback in listed:
        if not isinstance(callback, keras.callbacks.Callback):
            raise FatalTypeError(
                f"callbacks has {callback!r} of type {type(callback).__name__}, which is no "
                "keras.callbacks.Callback. Pass instances, not classes or functions."
            )
    return listed


def _copied(callback: Any) -> Any:
    try:
        return copy.deepcopy(callback)
    except Exception as error:
        raise FatalValueError(
            "All callbacks used during a search should be deep-copyable, since each execution gets "
            f"a copy; copying {callback!r} failed with {type(error).__name__}: {error}."
        ) from error


# ── HParams ────────────────────────────────────────────────────────────────


def _hparams(log_dir: str, trial: Trial) -> list[Any]:
    """Return the callback that files the trial under its hyperparameters; none without TensorBoard.

    It writes TensorFlow's summaries, so it is only there for that back end; and
    ``tensorboard`` is no part of TensorFlow's installation any more, so its
    absence costs the page and not the trial.
    """
    if keras.backend.backend() != "tensorflow":
        return []
    if importlib.util.find_spec("tensorboard") is None:
        sys.stderr.write(
            "aiotune: the HParams page needs the package tensorboard, which is not installed.\n"
        )
        return []
    return [_HParams(log_dir, trial)]


class _HParams(keras.callbacks.Callback):  # type: ignore[misc]
    """Files a training under its hyperparameters when it begins.

    TensorBoard's own callback creates its file when it is made, which it also is where
    the program is only run up to ``fit``, to weigh the model.
    """

    def __init__(self, log_dir: str, trial: Trial) -> None:
        super().__init__()
        self._log_dir, self._trial = log_dir, trial
        self._filed: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._filed = _filed(self._log_dir, self._trial)
        self._filed.set_model(self.model)
        self._filed.on_train_begin(logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._filed.on_train_end(logs)


def _filed(log_dir: str, trial: Trial) -> Any:
    from tensorboard.plugins.hparams import api

    values = {
        api.HParam(hp.name, _domain(api, hp)): trial.hyperparameters.values[hp.name]
        for hp in trial.hyperparameters.space
        if trial.hyperparameters.is_active(hp)
    }
    return api.KerasCallback(log_dir, _each_once(values), trial_id=trial.trial_id)


def _each_once(values: Mapping[Any, Any]) -> dict[Any, Any]:
    # A name may stand in the space once for each condition; HParams knows it by its name.
    return dict({hparam.name: (hparam, value) for hparam, value in values.items()}.values())


def _domain(api: Any, hp: HyperParameter) -> Any:
    match hp:
        case Boolean():
            return api.Discrete([True, False])
        case Choice() | Fixed():
            return api.Discrete(list(hp.values))
        case Int(step=1 | None):
            return api.IntInterval(hp.min_value, hp.max_value)
        case Float(step=None):
            return api.RealInterval(float(hp.min_value), float(hp.max_value))
        case _:
            return api.Discrete(list(hp.values))
