"""Hangs at its third item, because it waits for a result that no thread sends.

The attempt then fails, and the failure in the workflow shows the line that waits.
"""

import queue
import signal

import temporal_heartbeat as thb


def receive_result(results: "queue.Queue[int]") -> int:
    return results.get()


def main() -> None:
    results: queue.Queue[int] = queue.Queue()
    results.put(1)
    results.put(2)
    thb.connect()
    with thb.Activity.from_env(
        stall_timeout=0.5,  # in earnest: minutes
        stall_action="fail",
        stall_signal=signal.SIGUSR2,
    ) as act:
        for item in range(100):
            act.set_status(f"waits for the result of item {item}")
            receive_result(results)
            act.heartbeat(item)


if __name__ == "__main__":
    main()
