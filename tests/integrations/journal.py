"""The journal of a program under test: what each attempt did, in the order in which it happened.

Each process of the program appends lines to one file:

    begin ITEM ATTEMPT PID
    end ITEM ATTEMPT PID

The kernel appends each line whole, so the order of the lines is the order of the events.
"""

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.polling import wait_until
from harness.program import is_alive

# A cluster and its interpreters start slowly on a busy machine.
LIMIT_S = 180.0


@dataclass(frozen=True)
class Line:
    event: str
    item: int
    attempt: int
    pid: int


class Journal:
    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[Line]:
        if not self.path.exists():
            return []
        whole, _, _ = self.path.read_text().rpartition("\n")
        fields = (line.split() for line in whole.splitlines())
        return [Line(event, int(item), int(attempt), int(pid)) for event, item, attempt, pid in fields]

    def of(self, attempt: int, event: str = "") -> list[Line]:
        return [line for line in self.lines() if line.attempt == attempt and event in ("", line.event)]

    def wait_for(self, attempt: int, events: int, event: str = "") -> float:
        """Waits until the attempt has written this many lines. Returns the time at which they were seen."""
        wait_until(
            lambda: len(self.of(attempt, event)) >= events, f"{events} lines of attempt {attempt}", timeout_s=LIMIT_S
        )
        return time.monotonic()

    def check(self, items: Iterable[int], *, recorded: Iterable[int] = ()) -> None:
        """Checks that nothing was lost, and that no attempt did anything beside a later one.

        `recorded` are the items that the server had acknowledged when attempt 1 was killed.
        """
        lines = self.lines()
        lost = set(items) - {line.item for line in lines if line.event == "end"}
        assert not lost, f"never done: {sorted(lost)}"
        for earlier, later in itertools.pairwise(lines):
            assert earlier.attempt <= later.attempt, f"{later} beside attempt {earlier.attempt}"
        again = {line.item for line in lines if line.attempt > 1} & set(recorded)
        assert not again, f"done again, although recorded: {sorted(again)}"

    def at_work(self, attempt: int) -> list[int]:
        """Returns the living processes that have begun an item of the attempt, and haven't ended it."""
        begun = {line.item: line.pid for line in self.of(attempt, "begin")}
        ended = {line.item for line in self.of(attempt, "end")}
        return [pid for item, pid in begun.items() if item not in ended and is_alive(pid)]

    def wait_for_the_end_of(self, attempt: int) -> None:
        """Waits until no process that has worked for the attempt is alive."""
        pids = {line.pid for line in self.of(attempt)}
        wait_until(lambda: not any(map(is_alive, pids)), f"the processes of attempt {attempt} end", timeout_s=LIMIT_S)
