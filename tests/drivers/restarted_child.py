"""Works on an activity of `restarted_worker.py` until the test lets it end.

    restarted_child.py FOLDER NAME [catch] [pool]

It records 1, which is sent, and then 2, which isn't due. The file FOLDER/NAME shows the test that it has done so.
"""

import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import temporal_heartbeat as thb


class Terminated(Exception):
    """SIGTERM has arrived."""


def terminate(*_: object) -> None:
    raise Terminated("SIGTERM")


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.02)


def main(folder: Path, name: str, options: Sequence[str]) -> None:
    thb.connect()
    if "catch" in options:
        signal.signal(signal.SIGTERM, terminate)
    with thb.Activity.from_env() as act, ExitStack() as stack:
        act.heartbeat(1)
        act.flush()
        act.heartbeat(2)
        if "pool" in options:
            pool = stack.enter_context(ProcessPoolExecutor(2, initializer=thb.end_with_parent))
            items = [pool.submit(wait_for, folder / "go") for _ in range(2)]
            while not all(item.running() for item in items):
                time.sleep(0.02)
        (folder / name).touch()
        wait_for(folder / "go")
        act.complete("completed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
