"""A worker without an SDK that records steps, as drivers/worker.c does: program.py TASK_QUEUE FOLDER."""

import signal
import sys
import time
from pathlib import Path

import temporal_heartbeat as thb

QUEUE, FOLDER = sys.argv[1:]
worker = thb.Worker(QUEUE, max_concurrent=4)


@worker.activity
def steps(count: int, ms: int) -> int:
    act = thb.current_activity()
    step: int = act.details(default=0)
    print(f"attempt {act.task.attempt} of {act.task.activity_id} from {step}", flush=True)
    while step < count if count else not (Path(FOLDER) / "go").exists():
        time.sleep(ms / 1000)
        step += 1
        act.heartbeat(step)
        act.raise_if_cancelled()
    return step


if __name__ == "__main__":
    thb.connect()
    print("running", flush=True)
    # Short, so that the shutdown stops bodies.
    worker.run(signals=[signal.SIGTERM], shutdown_grace=0.05)
