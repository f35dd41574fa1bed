"""The simulation of solver.cpp in Python, with mpi4py. Rank 0 holds the activity; the others don't use the library.

mpirun -n 4 python solver.py STEPS FOLDER
"""

import os
import sys
import threading
import time
from pathlib import Path

import temporal_heartbeat as thb
from mpi4py import MPI

EVERY = 10  # steps from one checkpoint to the next


class Progress:
    """The progress of all ranks. Rank 0 receives it, and records it for the activity."""

    def __init__(self, act: thb.Activity | None, step: int) -> None:
        self._act = act  # None: not rank 0
        self._comm = MPI.COMM_WORLD.Dup()  # so that no other message of the program is taken for a report
        self._checkpoint, self._recorded = step, -1
        self._steps = [step] * self._comm.size
        self._report = MPI.REQUEST_NULL

    def done(self, step: int) -> None:
        """Reports a step of this rank. Never waits."""
        if self._act:
            self._steps[0] = step
            self._receive(self._act)
        elif self._report.Test():  # else the next report has a newer step
            self._report = self._comm.isend(step, 0)

    def checkpoint(self, step: int) -> bool:
        """Waits until all ranks have written this checkpoint, and records it. Returns whether all must stop."""
        self._report.Wait()
        reached = self._comm.Ibarrier()
        while not reached.Test():
            if self._act:
                self._receive(self._act)  # also the reports of the ranks that are behind
            time.sleep(0.001)
        stop = False
        if self._act:
            self._checkpoint = step
            self._record(self._act, step)
            self._act.flush()  # the server has the checkpoint before any rank continues
            stop = bool(self._act.wait_while_paused() & thb.STOP_SIGNALS)
        return bool(self._comm.bcast(stop))

    def _receive(self, act: thb.Activity) -> None:
        """Receives the reports that have arrived. If the slowest rank has advanced, records its step."""
        status = MPI.Status()
        while self._comm.iprobe(status=status):
            self._steps[status.source] = self._comm.recv(source=status.source)
        slowest = min(self._steps)
        if slowest != self._recorded:
            self._record(act, slowest)
        act.set_status(f"the slowest rank is {self._steps.index(slowest)}, after step {slowest}")

    def _record(self, act: thb.Activity, slowest: int) -> None:
        self._recorded = slowest
        act.heartbeat(f"step-{self._checkpoint}", slowest)


def watch(act: thb.Activity) -> None:
    """Ends all ranks if one of them hangs, or the attempt is over.

    When one rank exits without MPI_Finalize, mpirun kills the others.
    """
    try:
        signals = act.wait(thb.Signals.STALLED | thb.Signals.GONE | thb.Signals.LEASE_LOST)
    except (thb.InvalidHandleError, thb.NotConnectedError):
        return  # the activity was closed as usual
    why = "a rank hangs" if signals & thb.Signals.STALLED else "the attempt is over"
    print(f"{why}: {act.info['status']}", file=sys.stderr, flush=True)
    os._exit(3)


def work(step: int, folder: Path) -> int:
    """Does the work of this rank on one step. FOLDER/journal shows which rank of which attempt has worked on what."""
    item = step * MPI.COMM_WORLD.size + MPI.COMM_WORLD.rank
    line = f"{item} {os.environ['TEMPORAL_ACTIVITY_ATTEMPT']} {os.getpid()}"
    with (folder / "journal").open("a") as journal:
        print("begin", line, file=journal, flush=True)
        time.sleep(0.05)
        print("end", line, file=journal, flush=True)
    return item


def file_of(folder: Path, step: int) -> Path:
    return folder / f"step-{step}.rank-{MPI.COMM_WORLD.rank}"


def save(folder: Path, step: int, total: int) -> None:
    """Writes the state of this rank. A file with the final name is always complete."""
    unfinished = folder / f"unfinished.rank-{MPI.COMM_WORLD.rank}"
    unfinished.write_text(str(total))
    unfinished.replace(file_of(folder, step))


def simulate(act: thb.Activity | None, steps: int, folder: Path) -> None:
    step = 0
    if act:
        folder.mkdir(parents=True, exist_ok=True)
        threading.Thread(target=watch, args=[act], daemon=True).start()
        step = int(act.details(default="step-0").removeprefix("step-"))
        print("from step", step, flush=True)
    step = MPI.COMM_WORLD.bcast(step)
    total = int(file_of(folder, step).read_text()) if step else 0

    progress, stop = Progress(act, step), False
    while step < steps and not stop:
        total += work(step, folder)
        step += 1
        progress.done(step)
        if step % EVERY == 0 or step == steps:
            save(folder, step, total)
            stop = progress.checkpoint(step)
    result = MPI.COMM_WORLD.reduce(total)
    if act and not stop:
        act.complete(result)
    elif act:
        act.raise_if_cancelled()  # at the end of its with block, the activity is reported as cancelled


def main(steps: int, folder: Path) -> None:
    if MPI.COMM_WORLD.rank != 0:
        return simulate(None, steps, folder)
    thb.connect()
    try:
        with thb.Activity.from_env(stall_timeout=int(os.environ.get("STALL_SECONDS", 60))) as act:
            simulate(act, steps, folder)
    except thb.Cancelled as cancelled:
        print(cancelled, flush=True)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), Path(sys.argv[2]))
    except BaseException:
        MPI.COMM_WORLD.Abort(1)  # ends the other ranks
        raise
