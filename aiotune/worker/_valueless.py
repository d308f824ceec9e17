"""Keras variables with a shape, a dtype and no value.

Inside a stateless scope Keras keeps a variable's initializer and reads its
value only while it infers shapes, where any value does. What that leaves open
is closed here: variables made from values (an optimizer's learning rate), the
hooks with which TensorFlow's optimizers read values, values that are read for
real, and variables left behind for Keras to fill in later.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any, Self

import keras  # noqa: TID253 - this module is only imported where a model is weighed
import numpy as np
from keras.src.backend.common import (  # noqa: TID253 - as above; none of them has a public name
    global_state,
    symbolic_scope,
)

from aiotune.errors import OversizedModelError
from aiotune.worker._patching import owners, replaced

__all__ = ("Meter", "Unweighable", "Valueless", "itemsize", "nbytes")

_EAGER_LIMIT = 16 << 20  # bytes
_TRACES = frozenset({"tensorflow", "jax"})
"""Where shapes are inferred by tracing. What another back end does then is done for real, for all that is known."""
_LEFT_OVER = "uninitialized_variables"
# A build may make a larger model and take a part of it, so what it has made is
# no proof until it is far beyond the limit; the model itself is checked exactly.
_SPARE = 2

_ITEMSIZES = {"bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1, "int4": 1, "string": 0}


class Unweighable(Exception):
    """This model cannot be weighed without building it."""


def itemsize(dtype: str) -> int:
    """Return the bytes of one number; 0 for strings, which never reach a device."""
    known = _ITEMSIZES.get(dtype)
    return known if known is not None else int(np.dtype(dtype).itemsize)


def nbytes(variable: Any) -> int:
    """Return the bytes of a variable's value, whether it has one or not."""
    # The public dtype is that of an autocast scope, while one is entered.
    return int(math.prod(variable.shape)) * itemsize(variable._dtype)  # noqa: SLF001 - see above


class Meter:
    """Counts variables while they are made, and ends a build that is too large.

    Args:
        max_parameters: Of the model.
        max_bytes: Of all that training cannot do without.

    Attributes:
        excess: What was raised. A back end may have wrapped or swallowed it on its way.
    """

    def __init__(self, max_parameters: int | None, max_bytes: int | None) -> None:
        self._max_parameters, self._max_bytes = max_parameters, max_bytes
        self._parameters = self._bytes = self._aside = 0
        self.excess: OversizedModelError | None = None

    @contextlib.contextmanager
    def aside(self) -> Any:
        """Count what is made meanwhile as bytes, not as parameters."""
        self._aside += 1
        try:
            yield
        finally:
            self._aside -= 1

    def count(self, variable: Any) -> None:
        """Count a new variable.

        Raises:
            OversizedModelError: It is clear by now that the model is too large.
        """
        self._bytes += nbytes(variable)
        if not self._aside:
            self._parameters += math.prod(variable.shape)
        if self._max_parameters is not None and self._parameters > _SPARE * self._max_parameters:
            self._refuse_parameters(self._parameters, "more than ")
        if self._max_bytes is not None and self._bytes > _SPARE * self._max_bytes:
            self._refuse_bytes(self._bytes)

    def check(self, parameters: int, total_bytes: int) -> None:
        """Check a whole model.

        Raises:
            OversizedModelError: It is too large.
        """
        if self._max_parameters is not None and parameters > self._max_parameters:
            self._refuse_parameters(parameters)
        if self._max_bytes is not None and total_bytes > self._max_bytes:
            self._refuse_bytes(total_bytes)

    def _refuse_parameters(self, parameters: int, more: str = "") -> None:
        self._raise(
            f"The model has {more}{parameters:,} parameters; max_model_size is "
            f"{self._max_parameters:,}."
        )

    def _refuse_bytes(self, total: int) -> None:
        limit = self._max_bytes or 0
        self._raise(
            f"The model needs at least {total / 2**30:,.2f} GiB for its variables and its "
            f"optimizer's, more than the {limit / 2**30:,.2f} GiB that a trial can have here."
        )

    def _raise(self, sentence: str) -> None:
        self.excess = OversizedModelError(sentence)
        raise self.excess


class Valueless(contextlib.ExitStack):
    """A context in which ``keras.Variable`` allocates nothing.

    It patches keras, so it belongs into a process of its own.

    Args:
        meter: Counts every variable that is made.
    """

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def __enter__(self) -> Self:
        super().__enter__()
        self._put_back_left_overs()
        self._patch(keras.Variable, "__init__", self._without_value)
        for name in ("add_variable_from_reference", "_var_key"):
            # Only TensorFlow's overrides these two, to place a slot beside its
            # variable's value and to know the variable by it.
            *derived, base = owners(keras.optimizers.Optimizer, name)
            for cls in derived:
                self.enter_context(replaced(cls, name, vars(base)[name]))
        for cls, name in (
            (keras.optimizers.Optimizer, "__init__"),
            (keras.optimizers.Optimizer, "add_variable"),
            (keras.optimizers.Optimizer, "add_variable_from_reference"),
            (keras.metrics.Metric, "add_variable"),
            (keras.random.SeedGenerator, "__init__"),
        ):
            self._patch(owners(cls, name)[0], name, self._aside)
        self.enter_context(keras.StatelessScope(initialize_variables=False))
        return self

    def _put_back_left_overs(self) -> None:
        # The next outermost scope that is left, anybody's, gives values to all
        # variables on this list.
        before = list(global_state.get_global_attribute(_LEFT_OVER) or ())
        self.callback(global_state.set_global_attribute, _LEFT_OVER, before)

    def _patch(self, cls: type, name: str, wrap: Callable[[Any], Any]) -> None:
        self.enter_context(replaced(cls, name, wrap(getattr(cls, name))))

    def _aside(self, original: Any) -> Any:
        @functools.wraps(original)
        def aside(*args: Any, **kwargs: Any) -> Any:
            with self._meter.aside():
                return original(*args, **kwargs)

        return aside

    def _without_value(self, original: Any) -> Any:
        @functools.wraps(original)
        def init(
            variable: Any,
            initializer: Any,
            shape: Any = None,
            dtype: Any = None,
            *args: Any,
            **kwargs: Any,
        ) -> None:
            if isinstance(initializer, str):
                initializer = keras.initializers.get(initializer)
            if not callable(initializer):
                shape, dtype = _spec_of_value(initializer, dtype)
                initializer = functools.partial(_given, initializer)
            late = functools.partial(_initial_value, variable, initializer)
            original(variable, late, shape, dtype, *args, **kwargs)
            self._meter.count(variable)

        return init


def _spec_of_value(value: Any, dtype: Any) -> tuple[tuple[int, ...], Any]:
    if dtype is None:
        dtype = getattr(value, "dtype", None)
    if dtype is None:
        dtype = keras.ops.convert_to_tensor(value).dtype
    return tuple(getattr(value, "shape", np.shape(value))), keras.backend.standardize_dtype(dtype)


def _given(value: Any, _shape: Any, dtype: Any = None, **_: Any) -> Any:
    return keras.ops.convert_to_tensor(value, dtype=dtype)


def _initial_value(
    variable: Any, initializer: Any, shape: Any, dtype: Any = None, **kwargs: Any
) -> Any:
    if _infers_shapes():
        # Shape inference is after the shape; an initializer would bring a dozen
        # operations, or a large constant, for each reading of each variable.
        return keras.ops.zeros(shape, dtype)
    size = math.prod(shape) * itemsize(keras.backend.standardize_dtype(dtype))
    if size > _EAGER_LIMIT:
        raise Unweighable(
            f"The value of {variable.path}, {size / 2**20:,.0f} MiB, was read while the model was "
            "built, so it would have to be allocated."
        )
    return initializer(shape, dtype=dtype, **kwargs)


def _infers_shapes() -> bool:
    """Whether operations have no effect but that of their shapes right now."""
    if not symbolic_scope.in_symbolic_scope():
        return False
    backend = keras.backend.backend()
    if backend in _TRACES:
        return True
    if backend != "torch":
        return False
    # On torch, what the meta device cannot do is done for real on the CPU.
    from keras.src.backend.torch.core import get_device

    return bool(get_device() == "meta")
