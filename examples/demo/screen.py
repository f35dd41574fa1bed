"""The output of a run: on a terminal a picture that is redrawn in place, elsewhere plain lines."""

import os
import shutil
import time
from typing import Protocol, TextIO

from attempts import Attempt
from progress import Progress
from summary import plural

FRAMES_PER_S = 20


class Screen(Protocol):
    def draw(self, progress: Progress) -> None: ...
    def close(self) -> None: ...


def screen_for(out: TextIO) -> Screen:
    wide = shutil.get_terminal_size().columns >= Live.NARROWEST
    return Live(out) if out.isatty() and wide and os.environ.get("TERM") != "dumb" else Plain(out)


class Live:
    """Draws the attempts below each other on one scale, so that each visibly starts where the last one died."""

    NARROWEST = 60
    BESIDE_BAR = 38  # columns left and right of the bars

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._ink = Ink(out)
        self._height = 0
        out.write("\x1b[?25l\x1b[?7l")  # no cursor, no wrapping

    def draw(self, progress: Progress) -> None:
        lines = self._frame(progress)
        back = f"\x1b[{self._height}F" if self._height else ""
        self._out.write(back + "".join(f"{line}\x1b[K\n" for line in lines))
        self._out.flush()
        self._height = len(lines)

    def close(self) -> None:
        self._out.write("\x1b[?25h\x1b[?7h")
        self._out.flush()

    def _frame(self, progress: Progress) -> list[str]:
        room = shutil.get_terminal_size().columns - self.BESIDE_BAR
        width = progress.items * (room // progress.items) or room  # a whole number of cells per item, if they fit
        kills = len(progress.titles) - 1
        title = f"One Activity, {progress.items} items, {plural(kills, 'kill')}"
        clock = f"seed {progress.seed}   {progress.elapsed:5.1f} s"
        gap = " " * max(2, width + 12 - len(title))
        return [
            "",
            f"  {self._ink.bold(title)}{gap}{self._ink.dim(clock)}",
            "",
            *(self._attempt(number, progress, width) for number in range(1, len(progress.titles) + 1)),
            self._server(progress, width),
            "",
            f"  {self._now(progress)}",
        ]

    def _attempt(self, number: int, progress: Progress, width: int) -> str:
        label = f"  {number} {progress.titles[number - 1]:<10}"
        if number > len(progress.attempts):
            return self._ink.dim(label)
        attempt = progress.attempts[number - 1]
        if not attempt.items:
            return self._ink.color(number, label)
        first, last = attempt.items[0], attempt.last
        begin, end = (first - 1) * width // progress.items, last * width // progress.items
        mark, fate = self._fate(attempt, progress)
        bar = " " * begin + self._ink.color(number, self._ink.done * (end - begin)) + mark
        return f"{self._ink.color(number, label)}{bar}{' ' * (width - end)} {first:>3} - {last:<3} {fate}"

    def _fate(self, attempt: Attempt, progress: Progress) -> tuple[str, str]:
        if attempt.killed:
            return self._ink.red(self._ink.dead), self._ink.red("killed")
        if attempt.last == progress.items:
            return " ", self._ink.green("completed")
        return self._ink.color(attempt.number, self._ink.busy), "working"

    def _server(self, progress: Progress, width: int) -> str:
        label = self._ink.green(f"{'    server':<14}")
        if progress.result is not None:
            return f"{label}{self._ink.green(self._ink.held * width)}  has the result"
        at = progress.server.item * width // progress.items
        track = self._ink.green(self._ink.held * at) + self._ink.dim(self._ink.open * (width - at))
        return f"{label}{track}  has item {progress.server.item}"

    def _now(self, progress: Progress) -> str:
        attempt = progress.current
        if progress.result is not None:
            return self._ink.green(f"the workflow returned {progress.result}")
        if not attempt:
            return f"{self._ink.spinner()} {progress.headline}"
        if not attempt.killed:
            return f"{self._ink.spinner()} {attempt.program.title} works, attempt {attempt.number}"
        left = progress.server.lease_left
        if left <= 0:
            return f"{self._ink.spinner()} heartbeat timeout: attempt {attempt.number + 1} is about to start"
        bar = self._ink.red(self._ink.held * round(left * 10))
        return f"{self._ink.spinner()} {attempt.program.title} was killed. Heartbeat timeout in {left:.1f} s {bar}"


class Plain:
    """Prints a line for each event, and every half second while items are done."""

    EVERY_S = 0.5

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told = 0
        self._last = 0.0

    def draw(self, progress: Progress) -> None:
        for when, event in progress.events[self._told :]:
            self._line(when, event)
        self._told = len(progress.events)
        attempt = progress.current
        works = attempt and attempt.items and not attempt.killed and progress.result is None
        if attempt and works and progress.elapsed > self._last + self.EVERY_S:
            self._last = progress.elapsed
            known = f"the server has item {progress.server.item}"
            self._line(progress.elapsed, f"{attempt}: item {attempt.last} of {progress.items} done, {known}")

    def close(self) -> None:
        pass

    def _line(self, when: float, text: str) -> None:
        print(f"{when:6.1f} s  {text}", file=self._out, flush=True)


class Ink:
    """Colors, unless NO_COLOR is set, and characters that the terminal's encoding supports."""

    def __init__(self, out: TextIO) -> None:
        self._colored = out.isatty() and not os.environ.get("NO_COLOR")
        rich = "utf" in (out.encoding or "").lower()
        self.done, self.dead, self.busy, self.held, self.open = "━✗╸▬┈" if rich else "=x>-."
        self._spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if rich else "|/-\\"

    def bold(self, text: str) -> str:
        return self._paint("1", text)

    def dim(self, text: str) -> str:
        return self._paint("2", text)

    def red(self, text: str) -> str:
        return self._paint("31", text)

    def green(self, text: str) -> str:
        return self._paint("32", text)

    def color(self, number: int, text: str) -> str:
        """Paints in the color of an attempt: blue, yellow, cyan, magenta, then from the start."""
        return self._paint(str((34, 33, 36, 35)[(number - 1) % 4]), text)

    def spinner(self) -> str:
        return self._spinner[int(time.monotonic() * 10) % len(self._spinner)]

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colored and text else text
