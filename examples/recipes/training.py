"""A training loop with checkpoints. It records the path of the last checkpoint and its metrics.

    training.py STEPS FOLDER

The loop finishes writing a checkpoint before it records the path, so the recorded checkpoint always exists. It records
after every step, also between checkpoints, always with the checkpoint from which a retry resumes.
"""

import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path

import temporal_heartbeat as thb

EVERY = 5  # steps from one checkpoint to the next


def save(folder: Path, step: int, weights: list[float]) -> str:
    path = folder / f"step-{step}.json"
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps({"step": step, "weights": weights}))
    os.replace(unfinished, path)
    return str(path)


def exit_after_the_attempt(act: thb.Activity) -> None:
    with contextlib.suppress(thb.InvalidHandleError):  # the activity was closed as usual
        act.wait(thb.Signals.GONE | thb.Signals.LEASE_LOST)
        os._exit(1)


def main(steps: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    thb.connect()
    # A hung step, for example on a lost device, records nothing. After a minute the automatic heartbeats stop, and the
    # server starts another attempt. The thread then ends this process.
    with thb.Activity.from_env(stall_timeout=60) as act:
        threading.Thread(target=exit_after_the_attempt, args=[act], daemon=True).start()
        progress = act.details(default=None) or {"checkpoint": None}
        state = {"step": 0, "weights": [0.0, 0.0]}
        if progress["checkpoint"]:
            state = json.loads(Path(progress["checkpoint"]).read_text())
        print("from step", state["step"], flush=True)

        for step in range(state["step"] + 1, steps + 1):
            time.sleep(0.05)  # the step
            state = {"step": step, "weights": [weight + 1 / step for weight in state["weights"]]}
            if step % EVERY == 0 or step == steps:
                progress = {"checkpoint": save(folder, step, state["weights"]), "loss": 1 / step}
                print("checkpoint", step, flush=True)
            signals = act.heartbeat(progress)
            if signals & (thb.Signals.CANCEL_REQUESTED | thb.Signals.PAUSED):
                progress = {"checkpoint": save(folder, step, state["weights"]), "loss": 1 / step}
                act.heartbeat(progress)
                if signals & thb.Signals.CANCEL_REQUESTED:
                    act.report_cancelled(progress)
                    sys.exit("cancelled; the checkpoint is kept")
                act.wait_while_paused()
            act.raise_if_cancelled()
        act.complete(progress)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
