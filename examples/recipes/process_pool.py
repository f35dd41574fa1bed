"""Processes items in a pool of processes. This process opens the activity; the pool's processes don't use the library.

process_pool.py ITEMS
"""

import sys
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import islice

import temporal_heartbeat as thb

PROCESSES = 4


def work(item: int) -> int:
    time.sleep(0.1)
    return item


def main(items: int) -> None:
    thb.connect()
    with thb.Activity.from_env() as act:
        try:
            work_on_all(items, act)
        except thb.Cancelled as cancelled:
            if cancelled.signals & thb.Signals.CANCEL_REQUESTED:
                act.report_cancelled()
            sys.exit(str(cancelled))
        act.complete(items)


def work_on_all(items: int, act: thb.Activity) -> None:
    first = act.details(default=0)
    print("from item", first, flush=True)
    todo = iter(range(first, items))
    done: set[int] = set()
    # The processes of the pool end with this process, even if it is killed.
    pool = ProcessPoolExecutor(PROCESSES, initializer=thb.end_with_parent)
    try:
        running = {pool.submit(work, item) for item in islice(todo, 2 * PROCESSES)}
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            done.update(future.result() for future in finished)
            while first in done:  # all earlier items are done, so a retry resumes at this item
                done.remove(first)
                first += 1
            act.heartbeat(first)
            print("up to item", first, "all are done", flush=True)
            act.wait_while_paused()  # running items finish, and no new item starts
            act.raise_if_cancelled()
            running |= {pool.submit(work, item) for item in islice(todo, len(finished))}
    finally:  # also after an exception: running items finish before the next attempt can start
        pool.shutdown(cancel_futures=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
