"""Questions about single hyperparameters: values, probabilities, defaults, refused arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.compat.product import Product, question
else:
    from product import Product, question

__all__ = ()

PROBS = (0.0, 0.05, 0.1, 0.25, 1 / 3, 0.5, 0.61, 0.75, 0.9, 0.999999)

STEPPED = """
Int("x", 0, 1)
Int("x", 1, 10)
Int("x", 5, 9)
Int("x", 3, 3)
Int("x", 6, 13, step=3)
Int("x", -10, 50, step=5)
Int("x", 32, 512, step=32, default=64)
Int("x", 1, 10, step=20)
Int("x", 2, 32, step=2, sampling="log")
Int("x", 3, 100, step=3, sampling="log")
Int("x", 2, 33, step=2, sampling="reverse_log")
Float("x", 0.0, 1.0, step=0.25)
Float("x", 0.0, 1.0, step=0.1)
Float("x", 0.0, 1.0, step=0.2)
Float("x", 0.2, 0.8, step=0.2)
Float("x", 0.5, 9.5, step=1.5)
Float("x", 1.0, 8.0, step=2.0)
Float("x", 0.1, 100, step=10.0, sampling="log")
Float("x", 1e-5, 1e-1, step=10.0, sampling="log")
Float("x", 1.0, 1000.0, step=10.0, sampling="reverse_log")
Choice("x", ["a", "b", "c"])
Choice("x", [3, 1, 2])
Choice("x", [3, 1, 2], default=1)
Choice("x", [0.1, 0.01], ordered=False)
Choice("x", ["only"])
Choice("x", [True, False])
Choice("x", [1, 2, 2, 3])
Boolean("x")
Boolean("x", default=True)
Fixed("x", 7)
Fixed("x", 0.5)
Fixed("x", "text")
Fixed("x", True)
""".strip().splitlines()

UNSTEPPED = """
Int("x", 1, 100, sampling="log")
Int("x", 1, 3, sampling="log")
Int("x", 1, 100, sampling="reverse_log")
Float("x", 0, 1)
Float("x", 2.0, 2.0)
Float("x", -1.0, 1.0, default=0.5)
Float("x", 1e-4, 1e-2, sampling="log")
Float("x", 1e-3, 1e3, sampling="LOG")
Float("x", 1e-4, 1e-2, sampling="reverse_log")
Float("x", 0, 1, sampling=None)
""".strip().splitlines()

OTHERS = """
Int("x", 1, 5).prob_to_value(0.6)
Int("x", 1, 5).get_config()["default"]
Int("x", 1, 5, default=3).get_config()["default"]
Float("x", 1, 5).get_config()["default"]
Float("x", 0.1, 100, step=10, sampling="log").get_config()["step"]
list(Float("x", 0.0, 0.5, step=0.1).values)
list(Float("x", 0.0, 0.6, step=0.1).values)
list(Float("x", -1.0, 1.0, step=0.4).values)
Float("x", 0.5, 9.5, step=0.1).value_to_prob(9.4) > Float("x", 0.5, 9.5, step=0.1).value_to_prob(9.3)
Int("x", 1.0, 3.0).default
Int("x", 1.5, 3)
Int("x", 1, 3.5)
Int("x", 1, 3, step=0.5)
Int("x", "1", 3)
Int("x", None, 3)
Int("x", 3, 1)
Int("x", 1, 3, step=0)
Int("x", 1, 3, step=-1)
Int("x", 0, 3, sampling="log")
Int("x", -3, 3, sampling="log")
Int("x", 1, 3, step=1, sampling="log")
Int("x", 1, 3, sampling="exponential")
Int("x", 1, 3, default=2).default
Int("x", 1, 3, default=2.5)
Int("x", 1, 3, default=9)
hp.Int(7, 1, 3) and hp.space[0].name
Float("x", "low", 3)
Float("x", None, 3)
Float("x", 3.0, 1.0)
Float("x", 0.0, 1.0, step=0)
Float("x", 0.0, 1.0, step=-0.5)
Float("x", 0.0, 1.0, sampling="log")
Float("x", 0.1, 1.0, step=0.5, sampling="log")
Float("x", 0.1, 1.0, sampling="normal")
Float("x", 0, 1, default=0.5).default
Float("x", 0, 1, default=2.0)
Float("x", 0, float("inf"))
Float("x", 0, float("nan"))
Float("x", 0, 1, step=0.5, sampling="linear").default
Choice("x", [])
Choice("x", [1, "a"])
Choice("x", [1, 2.0])
Choice("x", [None, "a"])
Choice("x", [None])
Choice("x", [(1, 2), (3, 4)])
Choice("x", [[1], [2]])
Choice("x", [{}])
list(Choice("x", "abc").values)
Choice("x", ["a", "b"], default="c")
Choice("x", ["a", "b"], ordered=True)
Choice("x", ["a", "b"]).ordered
Choice("x", [1, 2]).ordered
Choice("x", [1.0, 2.0], ordered=False).ordered
Boolean("x", default=1).default
Boolean("x", default=0).default
Boolean("x", default=None)
Boolean("x", default="yes")
Boolean("x", default=2)
Fixed("x", None)
Fixed("x", [1])
Fixed("x", (1, 2))
Fixed("x", {})
Fixed("x", print)
Fixed("x", 1).default
Int("x", 1, 3).random_sample(seed=7)
Int("x", 1, 1000).random_sample(seed=7)
Float("x", 0, 1).random_sample(seed=7)
Choice("x", ["a", "b", "c"]).random_sample(seed=7)
Boolean("x").random_sample(seed=7)
Fixed("x", 4).random_sample(seed=7)
""".strip().splitlines()


def _made(product: Product, expression: str) -> Any:
    return eval(expression, product.names())


def _ask_about(expression: str, *, stepped: bool) -> None:
    @question(f"{expression}.values")
    def _(product: Product) -> Any:
        # Without a step KerasTuner's order is that of a set.
        values = _made(product, expression).values
        return list(values) if stepped else sorted(values)

    @question(f"{expression}.default")
    def _(product: Product) -> Any:
        return _made(product, expression).default

    @question(f"{expression}.prob_to_value()")
    def _(product: Product) -> Any:
        made = _made(product, expression)
        return [made.prob_to_value(prob) for prob in PROBS]

    @question(f"{expression}.value_to_prob()")
    def _(product: Product) -> Any:
        made = _made(product, expression)
        return [made.value_to_prob(made.prob_to_value(prob)) for prob in PROBS]

    @question(f"{expression}.get_config() but for the default")
    def _(product: Product) -> Any:
        config = _made(product, expression).get_config()
        return {key: value for key, value in config.items() if key != "default"}

    @question(f"{expression} there and back")
    def _(product: Product) -> Any:
        made = _made(product, expression)
        copied = type(made).from_config(made.get_config())
        return [type(copied).__name__, copied.get_config() == made.get_config()]


for _expression in STEPPED:
    _ask_about(_expression, stepped=True)
for _expression in UNSTEPPED:
    _ask_about(_expression, stepped=False)


def _ask_whether(expression: str) -> None:
    @question(expression)
    def _(product: Product) -> Any:
        made = _made(product, expression)
        return "accepted" if isinstance(made, product.kinds.HyperParameter) else made


for _expression in OTHERS:
    _ask_whether(_expression)
