"""Questions about the container: scopes, conditions, names, merging, copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.compat.product import Product, question
else:
    from product import Product, question

__all__ = ()

Program = Callable[[Any], Any]


def of_container(name: str) -> Callable[[Program], Program]:
    """Ask what a program that gets a new container returns."""

    def register(program: Program) -> Program:
        question(f"hp: {name}")(lambda product: program(product.top.HyperParameters()))
        return program

    return register


def names(hp: Any) -> list[str]:
    return [entry.name for entry in hp.space]


@of_container("each method returns the default")
def _(hp: Any) -> Any:
    asked = [hp.Int("i", 2, 9), hp.Float("f", 0.5, 1.0), hp.Choice("c", ["x", "y"])]
    return [*asked, hp.Boolean("b"), hp.Fixed("k", 3), hp.values]


@of_container("a second registration is ignored")
def _(hp: Any) -> Any:
    return [hp.Int("x", 1, 3), hp.Int("x", 5, 9), len(hp.space)]


@of_container("a second registration as another kind")
def _(hp: Any) -> Any:
    return [hp.Int("x", 1, 3), hp.Float("x", 0.0, 1.0)]


@of_container("a value that is there already wins")
def _(hp: Any) -> Any:
    hp.values["x"] = 7
    return [hp.Int("x", 1, 9), hp.values]


@of_container("names in scopes")
def _(hp: Any) -> Any:
    with hp.name_scope("outer"):
        hp.Int("x", 1, 3)
        with hp.name_scope("inner"):
            hp.Int("x", 2, 3)
            found = [hp.get("x"), "x" in hp]
    return [names(hp), found, hp.get("outer/x"), "x" in hp]


@of_container("a scope's condition holds")
def _(hp: Any) -> Any:
    hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["a"]):
        inside = hp.Int("of_a", 1, 3)
    with hp.conditional_scope("kind", "b"):
        outside = hp.Int("of_b", 1, 3)
    return [inside, outside, hp.values, names(hp), hp.is_active("of_a"), hp.is_active("of_b")]


@of_container("what scopes were seen")
def _(hp: Any) -> Any:
    hp.Choice("kind", ["a", "b"])
    for kind in ("a", "b"):
        with hp.conditional_scope("kind", [kind]):
            hp.Int(f"of_{kind}", 1, 3)
    return [
        [[[c.name, list(c.values)] for c in stack] for stack in scopes]
        for scopes in (hp.active_scopes, hp.inactive_scopes)
    ]


@of_container("nested scopes must all hold")
def _(hp: Any) -> Any:
    hp.Choice("a", [1, 2])
    with hp.conditional_scope("a", [1]):
        hp.Choice("b", [3, 4])
        with hp.conditional_scope("b", [4]):
            deep = hp.Int("c", 1, 3)
    return [deep, hp.values, [len(entry.conditions) for entry in hp.space]]


@of_container("parent_name and parent_values")
def _(hp: Any) -> Any:
    hp.Boolean("on", default=True)
    child = hp.Int("x", 1, 3, parent_name="on", parent_values=[True])
    other = hp.Float("y", 0.0, 1.0, parent_name="on", parent_values=False)
    return [child, other, hp.values, [bool(entry.conditions) for entry in hp.space]]


@of_container("one name under two conditions")
def _(hp: Any) -> Any:
    hp.Choice("kind", ["a", "b"])
    found = []
    for kind, low in (("a", 1), ("b", 5)):
        with hp.conditional_scope("kind", [kind]):
            found.append(hp.Int("x", low, 9))
    return [found, names(hp), hp.get("x"), hp.is_active("x")]


@of_container("parent values take the first one's type")
def _(hp: Any) -> Any:
    hp.Choice("a", [1, 2])
    with hp.conditional_scope("a", [1, 2.9]):
        hp.Int("x", 1, 2)
    hp.Choice("b", ["1", "2"])
    with hp.conditional_scope("b", ["1", 2]):
        hp.Int("y", 1, 2)
    return [list(entry.conditions[0].values) for entry in hp.space if entry.conditions]


@of_container("a scope of an unknown parent")
def _(hp: Any) -> Any:
    with hp.conditional_scope("nobody", [1]):
        return hp.Int("x", 1, 3)


@of_container("a scope of a parent known under other conditions")
def _(hp: Any) -> Any:
    hp.Choice("a", [1, 2])
    with hp.conditional_scope("a", [1]):
        hp.Choice("b", [1, 2])
    with hp.conditional_scope("b", [1]):
        return hp.Int("x", 1, 3)


@of_container("a scope within a scope, of a parent known outside both")
def _(hp: Any) -> Any:
    hp.Choice("a", [1, 2])
    hp.Choice("b", [1, 2])
    with hp.conditional_scope("a", [1]), hp.conditional_scope("b", [1]):
        return hp.Int("x", 1, 3)


@of_container("a child with its parent's name")
def _(hp: Any) -> Any:
    hp.Choice("a", [1, 2])
    with hp.conditional_scope("a", [1]):
        return hp.Int("a", 1, 3)


@of_container("parent values that cannot be compared")
def _(hp: Any) -> Any:
    hp.Choice("a", [1, 2])
    with hp.conditional_scope("a", [None]):
        return hp.Int("x", 1, 3)


@of_container("no parent values")
def _(hp: Any) -> Any:
    hp.Choice("a", [1, 2])
    with hp.conditional_scope("a", []):
        return hp.Int("x", 1, 3)


@of_container("getting one that is inactive")
def _(hp: Any) -> Any:
    hp.Choice("a", [1, 2])
    with hp.conditional_scope("a", [2]):
        hp.Int("x", 1, 3)
    return hp.get("x")


@of_container("getting one that is unknown")
def _(hp: Any) -> Any:
    return hp.get("x")


@of_container("is one in it")
def _(hp: Any) -> Any:
    hp.Choice("a", [1, 2])
    with hp.conditional_scope("a", [2]):
        hp.Int("x", 1, 3)
    return ["a" in hp, "x" in hp, "y" in hp]


@of_container("a value that is not in the space can be read")
def _(hp: Any) -> Any:
    hp.values["tuner/epochs"] = 5
    return [hp.get("tuner/epochs"), hp["tuner/epochs"], "tuner/epochs" in hp]


@of_container("copying")
def _(hp: Any) -> Any:
    hp.Int("x", 1, 9)
    copied = hp.copy()
    copied.Int("y", 1, 3)
    copied.values["x"] = 4
    return [hp.values, copied.values, names(hp), names(copied)]


@of_container("config and back")
def _(hp: Any) -> Any:
    hp.Choice("a", ["p", "q"])
    with hp.conditional_scope("a", ["q"]):
        hp.Float("x", 0.1, 1.0, sampling="log")
    again = type(hp).from_config(hp.get_config())
    return [hp.get_config(), again.get_config() == hp.get_config()]


def _two(hp: Any) -> tuple[Any, Any]:
    hp.Int("x", 1, 9)
    hp.values["x"] = 5
    other = type(hp)()
    other.Int("x", 1, 9, default=7)
    other.Int("y", 1, 3)
    other.values["y"] = 3
    return hp, other


@of_container("merging and overwriting")
def _(hp: Any) -> Any:
    hp, other = _two(hp)
    hp.merge(other)
    return hp.values


@of_container("entries after merging and overwriting")
def _(hp: Any) -> Any:
    hp, other = _two(hp)
    hp.merge(other)
    return names(hp)


@of_container("merging without overwriting")
def _(hp: Any) -> Any:
    hp, other = _two(hp)
    hp.merge(other, overwrite=False)
    return [hp.values, names(hp)]


@of_container("merging a list")
def _(hp: Any) -> Any:
    other = type(hp)()
    other.Int("y", 1, 3)
    hp.merge(list(other.space))
    return [hp.values, names(hp)]


@of_container("inactive values are dropped")
def _(hp: Any) -> Any:
    hp.Choice("a", [1, 2])
    with hp.conditional_scope("a", [1]):
        hp.Int("x", 1, 3)
    hp.values["a"] = 2
    hp.values["tuner/epochs"] = 3
    hp.ensure_active_values()
    return hp.values


@of_container("active values are filled in")
def _(hp: Any) -> Any:
    hp.Choice("a", [1, 2])
    with hp.conditional_scope("a", [2]):
        hp.Fixed("x", 4)
    hp.values["a"] = 2
    hp.ensure_active_values()
    return hp.values


@question("HyperModel: an untunable one adds nothing to the space")
def _(product: Product) -> Any:
    class Mine(product.top.HyperModel):  # type: ignore[misc, name-defined]
        def build(self, hp: Any) -> Any:
            return hp.Int("x", 1, 9)

    results: list[Any] = []
    for tunable in (True, False):
        hp = product.top.HyperParameters()
        results += [Mine(tunable=tunable).build(hp), names(hp)]
    given = product.top.HyperParameters()
    given.Int("x", 1, 9)
    given.values["x"] = 8
    return [*results, Mine("name", tunable=False).build(given), Mine("name").name]
