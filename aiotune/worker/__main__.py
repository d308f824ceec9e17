"""``python -m aiotune.worker``: started by the tuner and by keepers, not by people."""

from __future__ import annotations

import sys
from typing import NoReturn

from aiotune.worker._launch import LEFT_OUT, restore_path

__all__ = ("main",)


def main(argv: list[str]) -> NoReturn:
    """Run a nursery, or a worker that was started ahead of need.

    ::

        nursery CHANNEL OWNER PAYLOAD [MODULE ...] [-- LEFT_OUT=REASON ...]
        standby CHANNEL PAYLOAD [MODULE ...] [-- LEFT_OUT=REASON ...]

    The words in capitals are numbers of inherited descriptors.
    """
    restore_path()
    words = argv[: argv.index(LEFT_OUT)] if LEFT_OUT in argv else argv
    left_out = dict(word.split("=", 1) for word in argv[len(words) + 1 :])
    match words:
        case ["nursery", channel, owner, payload, *modules]:
            from aiotune.worker._nursery import serve

            serve(int(channel), int(owner), int(payload), modules, left_out)
        case ["standby", channel, payload, *modules]:
            _stand_by(int(channel), int(payload), modules, left_out)
        case _:
            sys.exit("This program is started by aiotune itself. Use aiotune's Python API.")


def _stand_by(channel: int, payload: int, modules: list[str], left_out: dict[str, str]) -> NoReturn:
    from aiotune.worker._beginning import Beginning

    began = Beginning(["standby", str(channel), str(payload)], left_out)
    from aiotune.wire import surroundings_of
    from aiotune.worker._nursery import import_all, listen_for_dumps
    from aiotune.worker._session import run_session

    listen_for_dumps()
    surroundings_of(payload).enter()
    import_all(modules, began)
    run_session(channel, payload)


if __name__ == "__main__":
    main(sys.argv[1:])
