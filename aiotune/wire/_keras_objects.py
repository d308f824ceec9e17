"""Objects of Keras on their way to a worker, or copied: exactly as they are.

Keras pickles by ``get_config()``: a loss comes back without what its configuration forgets, a
class of the user's own does not come back at all, and what two objects share is there twice. So
they are taken apart as any Python object is, attribute by attribute, except for what belongs to
one process: values of TensorFlow, functions compiled for a model, and tables whose keys are
addresses. Nothing here imports Keras; the sender has it if there is such an object.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from aiotune.wire._rebuilt import reduced_python

__all__ = ("Repair", "copied", "put_right", "reduced_keras")

Repair = tuple[Callable[..., None], Any, Any]
"""What is called, with which object and what else, when everything is loaded."""

_BASES = {
    "keras.src.saving.keras_saveable.KerasSaveable": "saveable",
    "keras.src.ops.operation.Operation": "operation",
    "keras.src.ops.function.Function": "function",
    "keras.src.optimizers.base_optimizer.BaseOptimizer": "optimizer",
    "keras.src.layers.preprocessing.index_lookup.IndexLookup": "lookup",
    "keras.src.backend.tensorflow.core.Variable": "variable",
    "keras.src.utils.tracking.Tracker": "tracker",
    "keras.src.utils.tracking.TrackedList": "tracked",
    "keras.src.utils.tracking.TrackedDict": "tracked",
    "keras.src.utils.tracking.TrackedOrderedDict": "tracked",
    "keras.src.utils.tracking.TrackedSet": "tracked",
    "keras.src.utils.backend_utils.DynamicBackend": "backend",
    "tensorflow.python.distribute.distribute_lib.StrategyBase": "strategy",
}
_COMPILED = ("train_function", "test_function", "predict_function")
"""Attributes of a model that are made again when they are needed."""
_WRAPPED = ("build", "quantize")
"""Methods that ``Layer.__new__`` wraps for each instance."""


def reduced_keras(obj: Any, later: list[Repair]) -> Any:
    """Return what an object of Keras becomes in a pickle, as ``__reduce__`` does.

    Args:
        obj: Any object.
        later: Receives what must be done with it when all objects are loaded.

    Returns:
        ``None`` if it is not an object that needs other treatment than any.
    """
    kinds = _kinds(type(obj))
    for kind, reduced in _REDUCED.items():
        if kind in kinds:
            return reduced(obj, later)
    return None


def put_right(later: list[Repair]) -> None:
    """Do what :func:`reduced_keras` left for the time when everything is loaded."""
    for repair, obj, rest in later:
        repair(obj, rest)


def copied(obj: Any) -> Any:
    """Return a deep copy of an object of Keras, or of a container of such.

    As ``copy.deepcopy``, which would take Keras's own way: functions, classes and modules stay
    the same ones.

    Raises:
        Exception: Something in it cannot be copied.
    """
    file, later, same = BytesIO(), list[Repair](), list[Any]()
    _Copier(file, later, same).dump((obj, later))
    file.seek(0)
    made, repairs = _Restorer(file, same).load()
    put_right(repairs)
    return made


class _Copier(pickle.Pickler):
    def __init__(self, file: BytesIO, later: list[Repair], same: list[Any]) -> None:
        super().__init__(file, protocol=5)
        self._later, self._same = later, same

    def persistent_id(self, obj: Any) -> int | None:
        """Leave out what a copy shares with its original."""
        if not isinstance(obj, (FunctionType, BuiltinFunctionType, ModuleType, type)):
            return None
        self._same.append(obj)
        return len(self._same) - 1

    def reducer_override(self, obj: Any) -> Any:
        """Take objects of Keras apart."""
        reduced = reduced_keras(obj, self._later)
        if reduced is None:
            reduced = reduced_python(obj, is_by_value=_nothing)
        return NotImplemented if reduced is None else reduced


def _nothing(_module: str) -> bool:
    return False  # functions are left as they are


class _Restorer(pickle.Unpickler):
    def __init__(self, file: BytesIO, same: list[Any]) -> None:
        super().__init__(file)
        self._same = same

    def persistent_load(self, pid: int) -> Any:
        """Return what was left out."""
        return self._same[pid]


_known: WeakKeyDictionary[type, frozenset[str]] = WeakKeyDictionary()


def _kinds(cls: type) -> frozenset[str]:
    if cls not in _known:
        names = {f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__}
        kinds = frozenset(kind for name, kind in _BASES.items() if name in names)
        # What pickles itself in a way of its own is left to do so.
        _known[cls] = frozenset() if kinds and _has_own_way(cls) else kinds
    return _known[cls]


def _has_own_way(cls: type) -> bool:
    for base in cls.__mro__:
        if base is object or base.__module__.partition(".")[0] in {"keras", "tensorflow", "torch"}:
            continue
        if {"__reduce__", "__reduce_ex__", "__getstate__"} & vars(base).keys():
            return True
    return False


def _reduced_strategy(_strategy: Any, _later: list[Repair]) -> Any:
    return _default_strategy, ()


def _reduced_backend(backend: Any, _later: list[Repair]) -> Any:
    return type(backend), ()


def _reduced_variable(variable: Any, _later: list[Repair]) -> Any:
    value = vars(variable).get("_value")
    state = {**vars(variable), "_value": None if value is None else value.numpy()}
    return _new, (type(variable),), state, None, None, _set_variable


def _reduced_tracker(tracker: Any, later: list[Repair]) -> Any:
    later.append((_identify_stores, tracker, None))
    state = {**vars(tracker), "stored_ids": {}}
    return _new, (type(tracker),), state, None, None, _set_attributes


def _reduced_saveable(obj: Any, later: list[Repair]) -> Any:
    kinds, state = _kinds(type(obj)), dict(vars(obj))
    for name in _COMPILED:
        if name in state:
            state[name] = None
    if "operation" in kinds:
        for name in _WRAPPED:
            if isinstance(state.get(name), FunctionType):
                del state[name]
        if state.get("_outbound_nodes"):
            # Followed from here, a deep model would be one chain, and recursion has a limit.
            later.append((_connect, obj, list(state["_outbound_nodes"])))
            state["_outbound_nodes"] = []
    if "function" in kinds and "_nodes" in state:
        later.append((_name_nodes, obj, list(_named_nodes(obj))))
        state["_nodes"] = set()
    if "optimizer" in kinds and state.get("_trainable_variables_indices"):
        later.append((_index_variables, obj, None))
    set_state: Callable[[Any, Any], None] = _set_attributes
    if "lookup" in kinds and "lookup_table" in state:
        state |= _without_tracked(state, state["lookup_table"])
        state["lookup_table"] = _words(obj)
        set_state = _set_lookup
    return _new, (type(obj),), state, None, None, set_state


def _reduced_collection(obj: Any, _later: list[Repair]) -> Any:
    make, state = _new_collection, (type(obj),)
    if isinstance(obj, list):
        return make, state, vars(obj), iter(list(obj)), None, _set_attributes
    if isinstance(obj, dict):
        return make, state, vars(obj), None, iter(list(obj.items())), _set_attributes
    return make, (*state, tuple(obj)), vars(obj), None, None, _set_attributes


_REDUCED: Mapping[str, Callable[[Any, list[Repair]], Any]] = {
    "strategy": _reduced_strategy,
    "backend": _reduced_backend,
    "variable": _reduced_variable,
    "tracker": _reduced_tracker,
    "tracked": _reduced_collection,
    "saveable": _reduced_saveable,
}


# ── making them again ──────────────────────────────────────────────────────


def _new(cls: Any) -> Any:
    return cls.__new__(cls)


def _new_collection(cls: Any, members: tuple[Any, ...] = ()) -> Any:
    made = cls.__new__(cls)
    vars(made)["tracker"] = None  # what is put into it was tracked before
    for member in members:
        made.add(member)
    return made


def _set_attributes(obj: Any, state: Mapping[str, Any]) -> None:
    vars(obj).update(state)  # past __setattr__, which would track them once more


def _default_strategy() -> Any:
    return sys.modules["tensorflow"].distribute.get_strategy()


def _set_variable(variable: Any, state: dict[str, Any]) -> None:
    value = state.pop("_value")
    vars(variable).update(state)
    if value is None:
        vars(variable)["_value"] = None
    else:
        variable._initialize(value)  # noqa: SLF001 - as its constructor does


def _without_tracked(state: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """Return TensorFlow's own lists of what an object has, without one of them."""
    listed, named = (
        "_self_unconditional_checkpoint_dependencies",
        "_self_unconditional_dependency_names",
    )
    found: dict[str, Any] = {}
    if listed in state:
        found[listed] = [entry for entry in state[listed] if entry.ref is not value]
    if named in state:
        found[named] = {name: ref for name, ref in state[named].items() if ref is not value}
    return found


def _words(layer: Any) -> tuple[list[Any], Any] | None:
    """Return the vocabulary of a lookup, and the weights of its words, if it has any."""
    words = list(layer.get_vocabulary(include_special_tokens=False))
    if not words:
        return None
    weights = getattr(layer, "idf_weights_const", None)
    return words, None if weights is None else weights.numpy()[-len(words) :]


def _set_lookup(layer: Any, state: dict[str, Any]) -> None:
    known = state.pop("lookup_table")
    vars(layer).update(state)
    if known is None:
        layer.lookup_table = layer._uninitialized_lookup_table()  # noqa: SLF001 - as its constructor does
    else:
        layer.set_vocabulary(*known)


# ── when everything is loaded ──────────────────────────────────────────────


def _identify_stores(tracker: Any, _: None) -> None:
    tracker.stored_ids = {name: set(map(id, store)) for name, (_, store) in tracker.config.items()}


def _connect(operation: Any, nodes: list[Any]) -> None:
    operation._outbound_nodes[:] = nodes  # noqa: SLF001 - nobody else has them


def _index_variables(optimizer: Any, _: None) -> None:
    variables = optimizer._trainable_variables  # noqa: SLF001 - nobody else has them
    indices = {optimizer._var_key(variable): at for at, variable in enumerate(variables)}  # noqa: SLF001
    vars(optimizer)["_trainable_variables_indices"] = indices


def _named_nodes(function: Any) -> Iterator[tuple[Any, int]]:
    """Yield the nodes of a graph as its operations and positions; their names hold addresses."""
    for operation in function._operations:  # noqa: SLF001 - nobody else has them
        for at in range(len(operation._inbound_nodes)):  # noqa: SLF001
            if _node_name(operation, at) in function._nodes:  # noqa: SLF001
                yield operation, at


def _name_nodes(function: Any, nodes: list[tuple[Any, int]]) -> None:
    vars(function)["_nodes"] = {_node_name(operation, at) for operation, at in nodes}


def _node_name(operation: Any, at: int) -> str:
    return f"{id(operation)}_ib-{at}"
