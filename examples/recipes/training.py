"""A training loop with checkpoints. It records the path of the last checkpoint and its metrics.

    training.py STEPS FOLDER

The loop finishes writing a checkpoint before it records the path, so the recorded checkpoint always exists. It records
after every step, also between checkpoints, always with the checkpoint from which a retry resumes.

The model is trained by PyTorch, on a GPU if there is one. If PyTorch isn't installed, a model in plain Python replaces
it, so that you can try the loop without its gigabytes.
"""

import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import temporal_heartbeat as thb

try:
    import torch
except ImportError:
    torch = None

EVERY = 5  # steps from one checkpoint to the next


class TorchTraining:
    """A network that learns the sum of its inputs."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        layers = [torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(32, 1)]
        self.model = torch.nn.Sequential(*layers).to(self.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)

    def train(self, step: int) -> float:
        time.sleep(0.05)  # a larger network takes longer
        # The batch depends only on the step, so a retry continues with the same data.
        inputs = torch.randn(64, 8, generator=torch.Generator().manual_seed(step)).to(self.device)
        loss = torch.nn.functional.mse_loss(self.model(inputs), inputs.sum(dim=1, keepdim=True))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    def save(self, path: Path) -> None:
        # Everything that the next step depends on: also the moments of the optimizer, and the random numbers.
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "cpu": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state_all()
        torch.save(state, path)

    def load(self, path: Path) -> None:
        state = torch.load(path, map_location="cpu")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state_all(state["cuda"])


class PlainTraining:
    """Learns one weight in plain Python."""

    def __init__(self) -> None:
        self.weight = 0.0

    def train(self, step: int) -> float:
        time.sleep(0.05)
        error = self.weight - random.Random(step).gauss(1, 0.1)
        self.weight -= 0.1 * error
        return error * error

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.weight))

    def load(self, path: Path) -> None:
        self.weight = json.loads(path.read_text())


class Preempted(Exception):
    """Leaves the block of the activity, which fails the attempt. So the server retries it at once."""


def checkpoint(training: Any, folder: Path, step: int) -> str:
    path = folder / f"step-{step}.checkpoint"
    unfinished = path.with_suffix(f".unfinished-{os.getpid()}")
    training.save(unfinished)
    os.replace(unfinished, path)
    print("checkpoint", step, flush=True)
    return str(path)


def exit_after_the_attempt(act: thb.Activity) -> None:
    with contextlib.suppress(thb.InvalidHandleError):  # the activity was closed as usual
        act.wait(thb.Signals.GONE | thb.Signals.LEASE_LOST)
        os._exit(1)


def main(steps: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Slurm, Kubernetes and the clouds announce the end of a job or a machine by a signal. The current step ends first.
    preempted = threading.Event()
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda *_: preempted.set())
    thb.connect()
    # A hung step, for example on a lost device, records nothing. After a minute the automatic heartbeats stop, and the
    # server starts another attempt. The thread then ends this process.
    with thb.Activity.from_env(stall_timeout=60) as act:
        threading.Thread(target=exit_after_the_attempt, args=[act], daemon=True).start()
        training = TorchTraining() if torch else PlainTraining()
        progress = act.details(default=None) or {"checkpoint": None, "step": 0}
        if progress["checkpoint"]:
            training.load(Path(progress["checkpoint"]))
        print("trained by", "PyTorch" if torch else "plain Python, because PyTorch isn't installed")
        print("from step", progress["step"], flush=True)

        for step in range(progress["step"] + 1, steps + 1):
            loss = training.train(step)
            signals = act.heartbeat(progress)
            must_stop = preempted.is_set() or signals & (thb.Signals.CANCEL_REQUESTED | thb.Signals.PAUSED)
            if step % EVERY == 0 or step == steps or must_stop:
                progress = {"checkpoint": checkpoint(training, folder, step), "step": step, "loss": loss}
                act.heartbeat(progress)
            if preempted.is_set():
                raise Preempted(f"checkpoint {progress['checkpoint']} is written")
            if signals & thb.Signals.CANCEL_REQUESTED:
                act.report_cancelled(progress)
                sys.exit("cancelled; the checkpoint is kept")
            act.wait_while_paused()
            act.raise_if_cancelled()
        act.complete(progress)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
