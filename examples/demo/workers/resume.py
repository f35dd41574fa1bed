"""Does the work of a Temporal Activity in Python.

    resume.py ITEMS FILE

Reads the task token from TEMPORAL_ACTIVITY_TASK_TOKEN and the server's address from TEMPORAL_ADDRESS. After each item,
writes one line to FILE and sends one heartbeat. If the process is killed, the Activity's next attempt resumes after the
last item that the server has, in this or any other language.
"""

import sys
import time

import temporal_heartbeat as thb
from temporal_heartbeat import Signals


def main(items: int, path: str) -> None:
    token = thb.token_from_env()
    thb.connect()
    details = thb.get_details(token)
    last = details[0] if details else 0
    print(f"attempt {details.attempt} resumes after item {last}")

    with open(path, "a") as file:
        for item in range(last + 1, items + 1):
            time.sleep(0.1)  # the work
            print(details.attempt, "python", item, file=file, flush=True)
            signals = beat(token, item)
            if signals & Signals.CANCEL_REQUESTED:
                thb.report_cancelled(token)
                return
            if signals & Signals.RESET:  # ending this attempt starts the next one immediately
                thb.fail(token, "stopped for the reset")
                return
    thb.complete(token, items)


def beat(token: bytes, item: int) -> Signals:
    """Sends a heartbeat. While the activity is paused, repeats it, because silence would end the attempt."""
    while True:
        signals = thb.heartbeat(token, item)
        stop = signals & (Signals.CANCEL_REQUESTED | Signals.RESET)
        if stop or not signals & Signals.PAUSED:
            return signals
        time.sleep(0.5)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: resume.py ITEMS FILE")
    try:
        main(int(sys.argv[1]), sys.argv[2])
    except thb.NotFoundError as over:  # the attempt is over, so the work stops
        print(over)
