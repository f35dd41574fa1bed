"""The training recipe with PyTorch on a CPU: the kills change nothing in the trained model."""

import functools
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.fixtures import StartActivity
from harness.handoff_program import handoff_environment
from harness.paths import ROOT
from harness.polling import wait_until
from harness.process import Process
from harness.requires import missing
from harness.server import Server
from harness.worker import Attempt
from integrations.journal import Journal
from integrations.kills import KILLS, Kills

# The import of PyTorch takes some seconds.
HEARTBEAT_TIMEOUT_MS = 10_000
# The steps of an attempt before it is killed, and all steps.
STEPS_PER_ATTEMPT = 12
STEPS = 400

# Runs the recipe: FOLDER STEPS ATTEMPT. Each step is an item of the journal.
JOURNALED = f"""
import os, sys
from pathlib import Path
sys.path.append({str(ROOT / "examples" / "recipes")!r})
import training

folder, steps, attempt = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
train = training.TorchTraining.train

def write(event, step):
    with open(folder / "journal", "a") as journal:
        print(event, step, attempt, os.getpid(), file=journal)

def journaled(self, step):
    write("begin", step)
    loss = train(self, step)
    write("end", step)
    return loss

training.TorchTraining.train = journaled
training.main(steps, folder / "checkpoints")
"""

COMPARE = """
import sys, torch
first, second = (torch.load(path)["model"] for path in sys.argv[1:])
assert all(torch.equal(first[name], second[name]) for name in first), "the models differ"
"""


@functools.cache
def python() -> str:
    """Returns an interpreter with PyTorch: that of the tests, or that of Debian."""
    for interpreter in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([interpreter, "-c", "import torch"], capture_output=True, check=False).returncode == 0:
            return interpreter
    return missing("PyTorch (Debian: python3-torch)")


def torch_version() -> str:
    command = [python(), "-c", "import torch; print(torch.__version__)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def preempt(process: Process) -> None:
    os.kill(process.pid, signal.SIGTERM)
    process.wait()


def kill(process: Process) -> None:
    process.kill()


ENDS: Mapping[str, Callable[[Process], None]] = {"the process (SIGTERM)": preempt, "the process (SIGKILL)": kill}


def run(server: Server, attempt: Attempt, folder: Path, number: int, steps: int = STEPS) -> Process:
    command = [python(), "-c", JOURNALED, str(folder), str(steps), str(number)]
    return Process(command, handoff_environment(server, attempt), merge_stderr=True)


def last_checkpoint(folder: Path) -> Path:
    return folder / "checkpoints" / f"step-{STEPS}.checkpoint"


def test_killed_training_ends_with_the_same_model(
    server: Server, start: StartActivity, tmp_path: Path, kills: Kills
) -> None:
    version = torch_version()
    folders: Sequence[Path] = [tmp_path / "killed", tmp_path / "undisturbed"]
    for folder in folders:
        folder.mkdir()
    activity = start("workflow", heartbeat_timeout_ms=HEARTBEAT_TIMEOUT_MS, start_to_close_ms=600_000)
    journal = Journal(folders[0] / "journal")
    process = run(server, activity.next_attempt(), folders[0], 1)
    for number, (what, end) in enumerate(itertools.islice(itertools.cycle(ENDS.items()), KILLS), start=1):
        with kills.one("PyTorch, on a CPU", version, what) as recorded:
            with process:
                journal.wait_for(number, STEPS_PER_ATTEMPT, "end")
                wait_until(lambda: bool(activity.heartbeat_details()), "a record")
                recorded.now()
                end(process)
            [progress] = activity.heartbeat_details()
            process = run(server, activity.next_attempt(), folders[0], number + 1)
            recorded.resumed(journal.wait_for(number + 1, 1))
            journal.wait_for_the_end_of(number)
            first = journal.of(number + 1)[0].item
            assert first > (progress or {"step": 0})["step"], "recorded steps are done again"
            journal.check(range(1, first))
    with process:
        assert process.wait() == 0
    assert activity.result()["step"] == STEPS
    journal.check(range(1, STEPS + 1))

    undisturbed = start("workflow", start_to_close_ms=600_000)
    with run(server, undisturbed.next_attempt(), folders[1], 1) as process:
        assert process.wait() == 0
    assert undisturbed.result()["loss"] == activity.result()["loss"]
    subprocess.run([python(), "-c", COMPARE, *map(str, map(last_checkpoint, folders))], check=True)
