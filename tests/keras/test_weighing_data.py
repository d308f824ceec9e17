"""One batch of whatever ``fit`` takes, described without reading more than a sample."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.keras


def described(nested: Any) -> Any:
    """Turn tensors into (shape, dtype)."""
    import keras

    return keras.tree.map_structure(lambda t: f"{t.shape} {t.dtype}", nested)


def spec_of(*args: Any, **kwargs: Any) -> Any:
    from aiotune.worker._input_spec import batch_spec

    return batch_spec(*args, **kwargs)


def test_arrays_have_the_batch_size_of_fit() -> None:
    """It is 32 unless told, never more than there are samples; float64 becomes floatx."""
    x, y = np.zeros((40, 3)), np.zeros((40,), "int64")

    spec, smaller, larger = spec_of(x, y), spec_of(x, y, batch_size=5), spec_of(x, y, None, 99)

    assert (described(spec.x), described(spec.y)) == ("(32, 3) float32", "(32,) int64")
    assert [s.batch_size for s in (spec, smaller, larger)] == [32, 5, 40]
    assert spec.nbytes == 32 * (3 * 4 + 8)


def test_nested_arrays_keep_their_structure() -> None:
    """Dictionaries and lists of arrays, targets and weights."""
    a, b = np.zeros((9, 2), "float32"), np.zeros((9, 4), "uint8")

    spec = spec_of({"a": a, "b": [b, b]}, {"y": a}, np.zeros(9, "float32"), batch_size=4)

    assert described(spec.x) == {
        "a": "(4, 2) float32",
        "b": ["(4, 4) uint8", "(4, 4) uint8"],
    }
    assert described(spec.y) == {"y": "(4, 2) float32"}
    assert described(spec.sample_weight) == "(4,) float32"


def test_weights_may_come_without_targets() -> None:
    """A model with a loss of its own is given samples and weights."""
    spec = spec_of(np.zeros((9, 2), "float32"), None, np.zeros(9, "float32"), batch_size=4)

    assert spec.y is None
    assert described(spec.sample_weight) == "(4,) float32"


def test_a_table_is_an_array() -> None:
    """A pandas DataFrame, and a column of strings."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 3.0]})

    spec = spec_of(table, table["a"], batch_size=2)

    assert (described(spec.x), described(spec.y)) == ("(2, 2) float32", "(2,) float32")
    assert described(spec_of(np.array(["a", "bc"])).x) == "(2,) string"


def test_a_keras_dataset_shows_its_first_batch() -> None:
    """Its batches have the size that it says."""
    import keras

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            assert index == 0
            return {"a": np.zeros((6, 2), "float32")}, np.zeros((6, 1), "float32")

    spec = spec_of(Batches(), batch_size=99)

    assert described((spec.x, spec.y)) == ({"a": "(6, 2) float32"}, "(6, 1) float32")
    assert spec.batch_size == 6


def test_a_generator_is_not_consumed() -> None:
    """There is no way to look at it; it is left as it was."""
    numbers: Iterator[Any] = (pair for pair in [(np.zeros((2, 2)), np.zeros(2))])

    assert spec_of(numbers) is None
    assert len(list(numbers)) == 1


@pytest.mark.parametrize("x", [None, object(), [1, 2, 3], np.float32(3)])
def test_what_is_no_data_has_no_description(x: Any) -> None:
    """Whatever cannot be one batch of numbers is unknown, not an error."""
    assert spec_of(x) is None


def test_a_tensorflow_dataset_is_not_read() -> None:
    """Its elements say what they are; an open batch dimension is the batch size or 32."""
    tf = pytest.importorskip("tensorflow")

    def refuse() -> Iterator[Any]:
        raise AssertionError("it was read")

    signature = (
        {"a": tf.TensorSpec((None, 3), tf.float32)},
        tf.TensorSpec((None,), tf.int32),
    )
    data = tf.data.Dataset.from_generator(refuse, output_signature=signature)
    fixed = tf.data.Dataset.from_tensor_slices(np.zeros((9, 2))).batch(4, drop_remainder=True)
    ragged = tf.data.Dataset.from_generator(
        refuse, output_signature=tf.TensorSpec(None, tf.float32)
    )

    spec = spec_of(data)

    assert described((spec.x, spec.y)) == ({"a": "(32, 3) float32"}, "(32,) int32")
    assert spec_of(data, batch_size=7).batch_size == 7
    assert described(spec_of(fixed, batch_size=99).x) == "(4, 2) float64"
    assert spec_of(ragged) is None


def test_a_torch_loader_starts_no_process() -> None:
    """One sample says what a batch is, whatever workers the loader would start."""
    data = pytest.importorskip("torch.utils.data")
    torch = pytest.importorskip("torch")
    rows = data.TensorDataset(torch.zeros(20, 3), torch.zeros(20, dtype=torch.int64))

    class Endless(data.IterableDataset):  # type: ignore[misc, name-defined]
        def __iter__(self) -> Iterator[Any]:
            while True:
                yield {"a": torch.zeros(5)}

    spec = spec_of(data.DataLoader(rows, batch_size=6, num_workers=2))

    assert described((spec.x, spec.y)) == ("(6, 3) float32", "(6,) int64")
    assert described(spec_of(data.DataLoader(Endless(), batch_size=2)).x) == {"a": "(2, 5) float32"}
    assert spec_of(data.DataLoader(rows, batch_size=None)) is None


def test_describing_data_does_not_bring_torch() -> None:
    """Torch is asked about its loaders only where the program has imported it."""
    program = (
        "import sys, numpy as np; from aiotune.worker._input_spec import batch_spec; "
        "batch_spec(np.zeros((3, 2))); "
        "import keras; print('torch' in sys.modules, keras.backend.backend() == 'torch')"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    imported, needed = done.stdout.split()
    assert imported == needed
