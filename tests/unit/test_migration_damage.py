"""Whatever is wrong in a file of KerasTuner's, the import refuses it in a sentence, or makes sense of it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiotune.errors import AiotuneError
from aiotune.migration._import import _plan
from aiotune.store import Layout
from aiotune.store._codec import encode_line

DATA = Path(__file__).parent.parent / "data"
WRONG: tuple[Any, ...] = (None, "x", [], {"a": 1}, -1.5, 10**30)


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container below a value with each of its keys; of lists the first two."""
    pairs = list(data.items()) if isinstance(data, dict) else list(enumerate(data))[:2]
    for key, value in pairs:
        yield data, key
        if isinstance(value, (dict, list)):
            yield from places(value)


@pytest.mark.parametrize(
    ("project", "file"),
    [
        ("hyperband_begun", "oracle.json"),
        ("hyperband_begun", "trial_4/trial.json"),
        ("failures", "trial_1/trial.json"),
        ("grid", "trial_0002/trial.json"),
        ("bayesian", "oracle.json"),
    ],
)
def test_a_wrong_value_anywhere_is_no_surprise(project: str, file: str, tmp_path: Path) -> None:
    """No other exception than ours comes out, and what is accepted can be written down."""
    source = Path(shutil.copytree(DATA / f"kerastuner_{project}", tmp_path / "old"))
    path, layout = source / file, Layout(tmp_path, "new")
    whole = json.loads(path.read_text())
    outcomes: Counter[str] = Counter()
    for container, key in list(places(whole)):
        right = container[key]
        for wrong in WRONG:
            container[key] = wrong
            path.write_text(json.dumps(whole))
            try:
                plan = _plan(source, layout, None, None, (), skip_damaged=False)
            except AiotuneError as error:
                outcomes[type(error).__name__] += 1
            else:
                outcomes["accepted"] += 1
                for number, fact in enumerate(plan.new.facts):
                    encode_line(fact, seq=number, batch=0, at=0, since=0)
        container[key] = right

    assert outcomes["accepted"] > 0
    assert outcomes["ProjectError"] > outcomes["ConfigurationError"]
