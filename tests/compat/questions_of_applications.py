"""Questions about the ready-made hypermodels: their arguments, and the spaces of image augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.compat.product import Product, question
else:
    from product import Product, question

__all__ = ()

# Networks themselves are compared by tests/keras, from recorded spaces and sizes.
REFUSED = """
HyperResNet(classes=10)
HyperResNet(input_shape=(8, 8, 3))
HyperXception(classes=10)
HyperXception(input_shape=(8, 8, 3))
HyperEfficientNet(classes=10)
HyperEfficientNet(input_shape=(8, 8, 3))
HyperEfficientNet(input_shape=(8, 8, 3), classes=2, augmentation_model=3)
HyperEfficientNet(input_shape=(8, 8, 3), classes=2, augmentation_model="flip")
HyperImageAugment()
HyperImageAugment(input_shape=(8, 8, 3), rotate=[0.1, 0.2, 0.3])
HyperImageAugment(input_shape=(8, 8, 3), rotate="much")
HyperImageAugment(input_shape=(8, 8, 3), contrast=["a", "b"])
HyperImageAugment(input_shape=(8, 8, 3), augment_layers=1.5)
HyperImageAugment(input_shape=(8, 8, 3), augment_layers=[1, 2, 3])
HyperImageAugment(input_shape=(8, 8, 3), name="mine", tunable=False)
""".strip().splitlines()

AUGMENTED = """
HyperImageAugment(input_shape=(8, 8, 3))
HyperImageAugment(input_shape=(8, 8, 3), augment_layers=0)
HyperImageAugment(input_shape=(8, 8, 3), augment_layers=4)
HyperImageAugment(input_shape=(8, 8, 3), augment_layers=[2, 5])
HyperImageAugment(input_shape=(8, 8, 3), rotate=[0.1, 0.3], translate_x=None, contrast=0)
HyperImageAugment(input_shape=(8, 8, 3), rotate=0.2, augment_layers=0, contrast=[0.1, 0.2])
HyperImageAugment(input_shape=(8, 8, 3), augment_layers=None)
""".strip().splitlines()


def _known(p: Product) -> dict[str, Any]:
    from importlib import import_module

    return vars(import_module(f"{p.name}.applications"))


def _ask_made(expression: str) -> None:
    @question(f"made: {expression}")
    def _(p: Product) -> Any:
        made = eval(expression, dict(_known(p)))
        return ["accepted", made.name, made.tunable]


def _ask_built(expression: str) -> None:
    @question(f"built: {expression}")
    def _(p: Product) -> Any:
        import numpy as np

        hp = p.top.HyperParameters()
        model = eval(expression, dict(_known(p))).build(hp)
        shape = model(np.zeros((2, 8, 8, 3), "float32")).shape
        entries = [
            # As floats: KerasTuner has a 0 where its default is a Float's least value.
            [e.name, type(e).__name__, *map(float, (e.min_value, e.max_value, e.default)), e.step]
            for e in hp.space
        ]
        return [entries, list(hp.values), model.name, list(shape)]


for _expression in REFUSED:
    _ask_made(_expression)
for _expression in AUGMENTED:
    _ask_built(_expression)
