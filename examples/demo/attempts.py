"""The Activity. It hands each attempt to a process in the next language."""

import base64
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from temporalio import activity
from temporalio.exceptions import ApplicationError

from done_file import DoneFile
from programs import Program
from workflow import PROCESS_ITEMS


@dataclass
class Attempt:
    number: int
    program: Program
    process: subprocess.Popen[bytes]
    output: Path
    items: list[int] = field(default_factory=list)  # the items done so far, in order
    killed: bool = False

    def __str__(self) -> str:
        return f"attempt {self.number}, {self.program.title}"

    @property
    def last(self) -> int:
        return self.items[-1] if self.items else 0

    def kill(self) -> None:
        self.killed = True
        self.process.kill()  # SIGKILL: the process can't catch it
        self.process.wait()

    def last_words(self) -> str:
        return self.output.read_text(errors="replace")[-2000:].strip() or "nothing"


class Attempts:
    """All attempts so far, the newest last."""

    def __init__(self, programs: list[Program], environment: dict[str, str], directory: Path, done_file: Path) -> None:
        self.all: list[Attempt] = []
        self._done_file = done_file
        self._done = DoneFile(done_file)
        self._programs = programs
        self._environment = environment
        self._directory = directory
        self._stopped = False

    @activity.defn(name=PROCESS_ITEMS)
    async def process_items(self, items: int) -> int:
        number = activity.info().attempt
        if self._stopped or number > len(self._programs):
            raise ApplicationError(f"no program is left for attempt {number}", non_retryable=True)
        self.all.append(self._launch(number, items))
        # From now on the process sends the heartbeats and completes the Activity. If this function waited for the
        # process, the SDK would cancel the Activity for missing heartbeats: it counts only heartbeats of this worker.
        activity.raise_complete_async()

    def _launch(self, number: int, items: int) -> Attempt:
        program = self._programs[number - 1]
        output = self._directory / f"attempt-{number}.log"
        with output.open("wb") as out:
            process = subprocess.Popen(
                program.command(items, self._done_file),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self._environment | hand_off(activity.info()),
                start_new_session=True,
            )
        return Attempt(number, program, process, output)

    def look(self) -> None:
        """Reads the items that were done since the last call."""
        for done in self._done.new():
            self.all[done.attempt - 1].items.append(done.item)

    def stop(self) -> None:
        """Kills the running processes and prevents new attempts."""
        self._stopped = True
        for attempt in self.all:
            attempt.process.kill()
            attempt.process.wait()


def hand_off(info: activity.Info) -> dict[str, str]:
    """Returns the variables that pass the attempt to a process."""
    return {
        "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(info.task_token).decode(),
        "TEMPORAL_ACTIVITY_ATTEMPT": str(info.attempt),
    }
