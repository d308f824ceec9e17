"""Which modules a worker will import, found without importing anything."""

from __future__ import annotations

import dis
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

__all__ = ("imports_in_code", "is_importable", "is_installed", "needed_modules")

_OWN = __name__.partition(".")[0]


@cache
def is_importable(name: str) -> bool:
    """Whether a fresh interpreter with this ``sys.path`` finds a module.

    ``sys.modules`` proves nothing: the module may have been made by hand, or
    its directory may have been on the path for a moment only.
    """
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return True
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if find is not None and find(top, None) is not None:
            return True
    return False


def is_installed(name: str) -> bool:
    """Whether a top-level module belongs to an installed distribution."""
    if name in sys.stdlib_module_names or name == _OWN:
        return False
    spec = PathFinder.find_spec(name)
    places = spec.submodule_search_locations if spec is not None else None
    where = [spec.origin] if spec is not None and spec.origin else list(places or ())
    homes = _package_homes(tuple(sys.path))
    return any(place.startswith(homes) for place in where)


def needed_modules(names: Iterable[str]) -> frozenset[str]:
    """Return the top-level modules that these modules bring with them.

    A module of the user's own is opened: what it holds in its globals and
    what its functions import when they are called will be imported too. A
    module of the standard library or of an installed package stands for itself.

    Args:
        names: Full names, as a pickle refers to them.
    """
    found: set[str] = set()
    queue, seen = list(names), set[str]()
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        module = sys.modules.get(name)
        if module is not None and _is_users(module):
            queue.extend(_referred_to_by(module))
        elif name != "__main__":
            found.add(name.partition(".")[0])
    return frozenset(found)


def imports_in_code(code: CodeType) -> Iterator[str]:
    """Yield the modules that a function imports in its body, and in functions within it."""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME" and instruction.argval:
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from imports_in_code(constant)


def _referred_to_by(module: ModuleType) -> Iterator[str]:
    for value in list(vars(module).values()):
        if isinstance(value, ModuleType):
            yield value.__name__
            continue
        home = getattr(value, "__module__", None)
        if isinstance(home, str):
            yield home
        if home == module.__name__:
            for function in _functions(value):
                yield from imports_in_code(function.__code__)


def _functions(value: Any) -> Iterator[FunctionType]:
    if isinstance(value, FunctionType):
        yield value
    elif isinstance(value, type):
        yield from (member for member in vars(value).values() if isinstance(member, FunctionType))


def _is_users(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or module.__name__.partition(".")[0] == _OWN:
        return False
    library = tuple(f"{sysconfig.get_path(key)}/" for key in ("stdlib", "platstdlib"))
    return not file.startswith((*library, *_package_homes(tuple(sys.path))))


@cache
def _package_homes(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the directories that an installer fills, each with a slash at its end.

    Those of this interpreter are not all: packages also come from the user's site, from the
    system's beneath a virtual environment, and from where ``pip install --target`` put them. All
    of these hold the metadata of distributions. The source tree of an editable
    installation does not: it is the user's own code, and changes from run to run.
    """
    homes = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}
    homes.add(site.getusersitepackages())
    homes.update(entry for entry in path if entry and _holds_distributions(entry))
    return tuple(sorted(f"{home}/" for home in homes))


def _holds_distributions(directory: str) -> bool:
    try:
        return any(path.is_dir() for path in Path(directory).glob("*.dist-info"))
    except OSError:  # a directory that may not be read
        return False
