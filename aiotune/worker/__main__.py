"""``python -m aiotune.worker``: started by the tuner and by keepers, not by people."""

from __future__ import annotations

import sys
from typing import NoReturn

from aiotune.worker._launch import restore_path

__all__ = ("main",)


def main(argv: list[str]) -> NoReturn:
    """Run a nursery, or a worker that was started ahead of need.

    ::

        nursery CHANNEL OWNER PAYLOAD [MODULE ...]
        standby CHANNEL PAYLOAD [MODULE ...]

    The words in capitals are numbers of inherited descriptors.
    """
    restore_path()
    match argv:
        case ["nursery", channel, owner, payload, *modules]:
            from aiotune.worker._nursery import serve

            serve(int(channel), int(owner), int(payload), modules)
        case ["standby", channel, payload, *modules]:
            _stand_by(int(channel), int(payload), modules)
        case _:
            sys.exit("This program is started by aiotune itself. Use aiotune's Python API.")


def _stand_by(channel: int, payload: int, modules: list[str]) -> NoReturn:
    from aiotune.wire import surroundings_of
    from aiotune.worker._nursery import import_all, listen_for_dumps
    from aiotune.worker._session import run_session

    listen_for_dumps()
    surroundings_of(payload).enter()
    import_all(modules)
    run_session(channel, payload)


if __name__ == "__main__":
    main(sys.argv[1:])
