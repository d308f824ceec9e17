"""The part of the zoo that differs in precision, optimizer or training step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras  # noqa: TID253 - loaded by a program that builds models

if TYPE_CHECKING:
    from tests.keras.zoo import L, compiled, floats, specimen, stack
else:  # both lie beside the program that imports them
    from zoo import L, compiled, floats, specimen, stack

__all__ = ("of_optimizer",)


@specimen(floats(5))
def half_precision() -> Any:
    return stack(keras.Input((5,)), L.Dense(8, dtype="mixed_float16"), L.Dense(1, dtype="float32"))


@specimen(floats(5))
def brain_precision_under_a_global_policy() -> Any:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return stack(keras.Input((5,)), L.Dense(8), L.Dense(1, dtype="float32"))
    finally:
        keras.config.set_dtype_policy(before)


@specimen(floats(5))
def loss_scaling_under_a_global_policy() -> Any:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return stack(keras.Input((5,)), L.Dense(8), L.Dense(1, dtype="float32"))
    finally:
        keras.config.set_dtype_policy(before)


@specimen(floats(5))
def small_numbers_of_brain_precision() -> Any:
    return stack(keras.Input((5,)), L.Dense(8, dtype="bfloat16"), L.Dense(1))


def of_optimizer(optimizer: Any) -> Any:
    return stack(keras.Input((5,)), L.Dense(6), L.Dense(4), L.Dense(1), optimizer=optimizer)


@specimen(floats(5))
def averaged_weights() -> Any:
    return of_optimizer(keras.optimizers.AdamW(use_ema=True))


@specimen(floats(5))
def accumulated_gradients() -> Any:
    return of_optimizer(keras.optimizers.RMSprop(momentum=0.9, gradient_accumulation_steps=4))


@specimen(floats(5))
def learning_rate_schedule() -> Any:
    return of_optimizer(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10)))


@specimen(floats(5))
def optimizer_adafactor() -> Any:
    return of_optimizer(keras.optimizers.Adafactor())


@specimen(floats(5))
def optimizer_nadam() -> Any:
    return of_optimizer(keras.optimizers.Nadam())


@specimen(floats(5))
def optimizer_muon() -> Any:
    return of_optimizer(keras.optimizers.Muon())


@specimen(floats(5))
def optimizer_lion() -> Any:
    return of_optimizer(keras.optimizers.Lion())


class OwnStep(keras.Model):  # type: ignore[misc]
    def train_step(self, *_: Any) -> Any:
        raise AssertionError("weighing does not train")


@specimen(floats(5))
def own_training_step() -> Any:
    inputs = keras.Input((5,))
    return compiled(OwnStep(inputs, L.Dense(1)(L.Dense(3)(inputs))), metrics=["mae"])


class Pair(keras.Model):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.generator = keras.Sequential([keras.Input((3,)), L.Dense(5)])
        self.critic = keras.Sequential([keras.Input((5,)), L.Dense(1)])
        self.built = True


@specimen(floats(5), callable=False)
def pair_that_cannot_be_called() -> Any:
    return compiled(Pair())
