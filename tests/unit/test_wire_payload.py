"""How the user's program and data travel, and what is said of what cannot."""

from __future__ import annotations

import os
import pickle
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from aiotune.errors import PayloadError
from aiotune.wire import Packed, Payload, load, pack, surroundings_of


@pytest.fixture
def packing() -> Iterator[Callable[..., Packed]]:
    """Pack payloads and give their memory back afterwards."""
    packed: list[Packed] = []

    def pack_it(target: Any, *args: Any, **kwargs: Any) -> Packed:
        packed.append(pack(Payload(target, args, kwargs)))
        return packed[-1]

    yield pack_it
    for one in packed:
        one.close()


class _Target:
    """A target whose attributes tests choose."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


def _refusal(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(PayloadError) as caught:
        pack(Payload(_Target(), args, kwargs))
    return str(caught.value)


def test_closures_lambdas_and_local_classes_travel(packing: Callable[..., Packed]) -> None:
    """What plain pickle refuses arrives and works."""

    class Local:
        factor = 3

    offset = 4

    payload = load(packing(lambda v: v * Local.factor + offset, epochs=2).fd)

    assert payload.target(5) == 19
    assert payload.kwargs == {"epochs": 2}


def test_large_arrays_are_shared_until_written(packing: Callable[..., Packed]) -> None:
    """An array can be changed in place by one receiver without the others seeing it."""
    array = np.arange(100_000, dtype=np.float32)
    packed = packing(None, array)

    first, second = load(packed.fd), load(packed.fd)
    first.args[0][:] = 0

    assert second.args[0][-1] == 99_999.0
    assert second.args[0].ctypes.data % 64 == 0
    assert packed.size < array.nbytes + 4096


def test_read_only_arrays_stay_read_only(packing: Callable[..., Packed]) -> None:
    """An array that could not be written cannot be written by the receiver either."""
    array = np.zeros(100_000)
    array.flags.writeable = False

    payload = load(packing(None, array).fd)

    assert not payload.args[0].flags.writeable


def test_region_is_sealed(packing: Callable[..., Packed]) -> None:
    """No holder of the descriptor can change what others load."""
    packed = packing(None, np.zeros(100_000))

    with pytest.raises(PermissionError):
        os.pwrite(packed.fd, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(packed.fd, 0)


def test_region_without_memfd_is_an_unlinked_file(
    monkeypatch: pytest.MonkeyPatch, packing: Callable[..., Packed]
) -> None:
    """Where the kernel has no memfd the payload still travels."""
    monkeypatch.delattr(os, "memfd_create")

    payload = load(packing(None, np.ones(100_000)).fd)

    assert payload.args[0].sum() == 100_000.0


def test_full_memory_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the copy does not fit into memory, the message says how much was needed."""

    def full(*_args: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)

    with pytest.raises(PayloadError, match=r"take 8 MiB, .* could not be had: .*No space left"):
        pack(Payload(None, (np.zeros(2**20),)))


def test_reference_is_named_by_its_path() -> None:
    """The message leads to the object deep inside the arguments."""
    callback = _Target(held=weakref.ref(_Target))

    message = _refusal(callbacks=[callback])

    assert message.startswith('kwargs["callbacks"][0].held is a weakref.ReferenceType')
    assert "Pass a function that makes it" in message


def test_reference_in_a_closure_is_named_by_its_variable() -> None:
    """A function's captured variable is found and named."""
    held = weakref.ref(_Target)

    message = _refusal(build=lambda: held)

    assert message.startswith("kwargs[\"build\"]'s variable 'held' is a weakref.ReferenceType")


def test_reference_of_the_target_is_named() -> None:
    """An attribute of the tuner is found like an argument."""
    with pytest.raises(PayloadError, match=r"^tuner\.hypermodel\.held is a weakref\.ReferenceType"):
        pack(Payload(_Target(hypermodel=_Target(held=weakref.ref(_Target)))))


def test_unreachable_culprit_is_narrowed_to_its_argument() -> None:
    """An object that only exists while pickling is traced to the argument that made it."""

    class MakesReference:
        def __reduce__(self) -> Any:
            return (_Target, (), {"held": weakref.ref(_Target)})

    message = _refusal(MakesReference())

    assert message.startswith("Something in args[0] is a weakref.ReferenceType")


def test_error_of_an_objects_own_pickling_is_passed_on() -> None:
    """What a class says against being pickled reaches the user."""

    class Refuses:
        def __reduce__(self) -> Any:
            raise ValueError("not today")

    message = _refusal(cb=Refuses())

    assert 'kwargs["cb"] is a' in message
    assert "(not today)" in message


def test_open_file_is_refused(tmp_path: Path) -> None:
    """An open file would arrive as a copy of its content; it is refused instead."""
    with (tmp_path / "data.csv").open("w") as file:
        message = _refusal(file)

    assert message.startswith("args[0] is an open file (")
    assert "Pass its path" in message


def test_generator_is_refused() -> None:
    """A generator gets a remedy of its own."""
    message = _refusal(x for x in range(3))

    assert message.startswith("args[0] is a generator")
    assert "Pass a function that returns it" in message


def test_coroutine_is_refused() -> None:
    """A coroutine object gets a remedy of its own."""

    async def work() -> None: ...

    coroutine = work()
    message = _refusal(coroutine)
    coroutine.close()

    assert message.startswith("args[0] is a coroutine")


def test_dataset_is_refused_by_its_class_name() -> None:
    """A tf.data.Dataset is known without importing tensorflow."""
    base = type("DatasetV2", (), {"__module__": "tensorflow.python.data.ops.dataset_ops"})
    dataset = type("_MapDataset", (base,), {})()

    message = _refusal(dataset)

    assert message.startswith("args[0] is a tf.data.Dataset")


def test_endless_nesting_is_refused() -> None:
    """A structure that is too deep for pickle is a sentence, not a RecursionError."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    assert "nested too deeply" in _refusal(deep)


def test_module_that_a_worker_cannot_find_travels_by_value(
    monkeypatch: pytest.MonkeyPatch, packing: Callable[..., Packed]
) -> None:
    """A module that exists in this process only is sent in whole."""
    module = ModuleType("made_by_hand")
    exec("def double(v): return helper(v)\ndef helper(v): return 2 * v", vars(module))
    monkeypatch.setitem(sys.modules, "made_by_hand", module)

    packed = packing(module.double)
    monkeypatch.delitem(sys.modules, "made_by_hand")

    assert packed.by_value == ("made_by_hand",)
    assert load(packed.fd).target(4) == 8


def test_a_trial_can_pickle_what_is_the_programs_own(
    packing: Callable[..., Packed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's ``__main__`` has the functions and classes that travelled, under their names."""
    ours, theirs = ModuleType("__main__"), ModuleType("__main__")
    exec(_PROGRAM, vars(ours))
    theirs.__dict__["taken"] = "the worker's own"
    monkeypatch.setitem(sys.modules, "__main__", ours)
    packed = packing(ours.Search())
    monkeypatch.setitem(sys.modules, "__main__", theirs)

    target = load(packed.fd).target

    assert pickle.loads(target.pickled()) == [theirs.Net, theirs.double]
    assert theirs.taken == "the worker's own"


_PROGRAM = """
import pickle

class Net: ...

def double(value): return 2 * value

def taken(): ...

class Search:
    def pickled(self):
        taken()
        return pickle.dumps([Net, double])
"""


def test_needed_modules_are_followed_through_user_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: Callable[..., Packed]
) -> None:
    """A user's module is opened: what it holds and what its functions import is needed."""
    (tmp_path / "my_models.py").write_text(
        "import my_layers\ndef build(hp):\n    import colorsys\n    return my_layers.layer()\n"
    )
    (tmp_path / "my_layers.py").write_text("import wave\ndef layer(): return wave\n")
    monkeypatch.syspath_prepend(tmp_path)
    import my_models  # type: ignore[import-not-found] # made by this test

    packed = packing(my_models.build)

    assert {"colorsys", "wave"} <= packed.modules
    assert "my_models" in packed.references
    assert packed.by_value == ()
    for name in ("my_models", "my_layers"):
        monkeypatch.delitem(sys.modules, name)


def test_imports_inside_a_function_are_needed(packing: Callable[..., Packed]) -> None:
    """A function that travels by value names what it will import."""

    def build() -> Any:
        def inner() -> Any:
            import sunau  # type: ignore[import-not-found,unused-ignore] # never called

            return sunau

        return inner

    assert "sunau" in packing(build).modules


def test_surroundings_travel(packing: Callable[..., Packed]) -> None:
    """The receiver learns the module path and the working directory."""
    surroundings = surroundings_of(packing(None).fd)

    assert surroundings.directory == os.fsencode(Path.cwd())
    assert all(Path(os.fsdecode(entry)).is_absolute() for entry in surroundings.path)


def test_words_that_are_no_text_travel(
    monkeypatch: pytest.MonkeyPatch, packing: Callable[..., Packed]
) -> None:
    """Such as the name of a file from a system with another encoding, on the command line."""
    monkeypatch.setattr(sys, "argv", ["program.py", "b\udce4ume.csv"])

    assert surroundings_of(packing(None).fd).argv == [b"program.py", b"b\xe4ume.csv"]


def test_a_working_directory_that_is_gone_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: Callable[..., Packed]
) -> None:
    """With the "" that stands for it on the path of a notebook or of ``python -c``."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    gone.rmdir()

    surroundings = surroundings_of(packing(None).fd)

    assert surroundings.directory == b""
    assert [entry for entry in surroundings.path if not entry.startswith(b"/")] == []


def test_missing_module_is_named_by_the_receiver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: Callable[..., Packed]
) -> None:
    """A module that is gone when a worker loads is named, with a remedy."""
    (tmp_path / "soon_gone.py").write_text("def build(hp): return None\n")
    monkeypatch.syspath_prepend(tmp_path)
    import soon_gone  # type: ignore[import-not-found] # made by this test

    packed = packing(soon_gone.build)
    (tmp_path / "soon_gone.py").unlink()
    monkeypatch.delitem(sys.modules, "soon_gone")

    with pytest.raises(PayloadError, match="cannot import the module 'soon_gone'"):
        load(packed.fd)


def test_error_while_loading_is_a_sentence(packing: Callable[..., Packed]) -> None:
    """An object that refuses to be rebuilt is reported with its own words."""

    class Fragile:
        def __setstate__(self, state: Any) -> None:
            raise KeyError("state")

        def __getstate__(self) -> Any:
            return {"a": 1}

    with pytest.raises(PayloadError, match=r"cannot load what was given to search.*KeyError"):
        load(packing(Fragile()).fd)


def test_foreign_region_is_refused() -> None:
    """A descriptor that holds something else is not loaded."""
    fd = os.memfd_create("other")
    os.write(fd, b"#" * 64)

    with pytest.raises(ValueError, match="holds no payload"):
        load(fd)

    os.close(fd)
