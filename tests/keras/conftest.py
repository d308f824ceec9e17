"""What tests of weighing share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import aiotune
from aiotune.wire import Failed, Payload, RunWeighing, Weighed
from aiotune.worker._weighing import run_weighing

Weigh = Callable[..., Weighed | Failed]


def weighing_order(**changes: Any) -> RunWeighing:
    facts: dict[str, Any] = {
        "trial_id": "0",
        "index": 0,
        "seed": 7,
        "stream": 0,
        "space": {"space": [], "values": {}},
        "objective": [{"name": "val_loss", "direction": "min"}],
        "budget": {},
        "environment": {},
        "threads": 0,
        # The real ones of one test's process would stay for the next test.
        "host_bytes": 1 << 40,
    }
    return RunWeighing(**{**facts, **changes})


@pytest.fixture
def weigh(tmp_path: Any) -> Weigh:
    """Weigh the model that a hypermodel builds, for given arguments of search()."""

    def weigh(
        hypermodel: Any,
        *args: Any,
        order: dict[str, Any] | None = None,
        tuner: type[aiotune.Tuner] = aiotune.RandomSearch,
        settings: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Weighed | Failed:
        target: Any = tuner(
            hypermodel=hypermodel,
            objective="val_loss",
            max_trials=1,
            directory=tmp_path,
            **(settings or {}),
        )
        return run_weighing(weighing_order(**(order or {})), Payload(target, args, kwargs))

    return weigh
