"""Sends heartbeats from processes that Python starts in the named way: a pool, or workers forked by a thread."""

import multiprocessing
import os
import sys
import threading

import temporal_heartbeat as thb

TOKEN = bytes.fromhex(os.environ["TOKEN"])
WORKERS = 3


def beat(item: int) -> int:
    thb.heartbeat(TOKEN, item)
    return item


def pool(method: str) -> list[int]:
    # A forked child inherits its parent's options; other children start without options.
    initializer = None if method == "fork" else thb.connect
    with multiprocessing.get_context(method).Pool(WORKERS, initializer) as workers:
        return workers.map(beat, range(12))


def forked_from_a_thread() -> list[int]:
    """Forks workers from a thread while other threads are in calls."""
    over = threading.Event()

    def beat_on() -> None:
        while not over.is_set():
            beat(0)

    callers = [threading.Thread(target=beat_on) for _ in range(2)]
    for caller in callers:
        caller.start()
    statuses: list[int] = []

    def fork() -> None:
        for worker in range(WORKERS):
            child = os.fork()
            if child == 0:
                beat(worker)
                os._exit(0)
            statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    forker = threading.Thread(target=fork)
    forker.start()
    forker.join()
    over.set()
    for caller in callers:
        caller.join()
    return statuses


if __name__ == "__main__":
    thb.connect()
    beat(0)
    print(forked_from_a_thread() if sys.argv[1] == "thread" else pool(sys.argv[1]))
    beat(99)
