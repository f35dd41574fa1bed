"""The progress bar of `track`: tqdm's if it is installed, otherwise one line of text."""

from __future__ import annotations

import operator
import os
import sys
import time
from typing import Any, Optional, Protocol

__all__ = ["MIN_INTERVAL_S", "ProgressBar", "open_bar"]

# The shortest time between two updates. tqdm's default is the same.
MIN_INTERVAL_S = 0.1


class ProgressBar(Protocol):
    """Shows how many items are done. ``note`` says what else the user must know.

    Each call draws the bar.
    """

    def update(self, done: int) -> None: ...

    def show(self, note: str) -> None: ...

    def close(self) -> None: ...


def open_bar(
    iterable: Any, total: Optional[int], done: int, description: str
) -> Optional[ProgressBar]:
    """Returns a bar, or None if stderr isn't a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    if total is None:
        total = _length(iterable)
    resumed = f"resumed, {done} done before" if done else ""
    try:
        from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return _Line(total, done, description, resumed)
    return _Tqdm(tqdm, total, done, description, resumed)


def _length(iterable: Any) -> Optional[int]:
    try:
        return operator.length_hint(iterable) or None
    except Exception:  # of the iterable, which works without a length
        return None


class _Tqdm:
    def __init__(
        self, tqdm: Any, total: Optional[int], done: int, description: str, resumed: str
    ) -> None:
        self._resumed = resumed
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=description or None,
            file=sys.stderr,
            dynamic_ncols=True,
            mininterval=0,
            miniters=1,
        )
        self.show("")

    def update(self, done: int) -> None:
        self._bar.update(done - self._bar.n)

    def show(self, note: str) -> None:
        self._bar.set_postfix_str(", ".join(filter(None, (self._resumed, note))))

    def close(self) -> None:
        self._bar.close()


class _Line:
    """One line of text, without control sequences: it also works in a simple terminal."""

    def __init__(self, total: Optional[int], done: int, description: str, resumed: str) -> None:
        self._stream = sys.stderr
        self._total = total
        self._first = self._done = done
        self._description = description
        self._resumed = resumed
        self._note = ""
        self._began = time.monotonic()
        self._shown = 0
        self._draw()

    def update(self, done: int) -> None:
        self._done = done
        self._draw()

    def show(self, note: str) -> None:
        self._note = note
        self._draw()

    def close(self) -> None:
        self._write("\n")

    def _draw(self) -> None:
        text = self._text(time.monotonic() - self._began)[: self._width()]
        # The blanks cover the rest of a longer earlier line.
        self._write(f"\r{text:<{self._shown}}")
        self._shown = len(text)

    def _text(self, elapsed: float) -> str:
        parts = [str(self._done)]
        rate = (self._done - self._first) / elapsed if elapsed > 0 else 0.0
        if self._total:
            parts = [f"{self._done}/{self._total} ({self._done / self._total:.0%})"]
        if self._note:
            parts.append(self._note)
        parts.append(_time(elapsed))
        if rate:
            parts.append(f"{rate:.3g}/s")
        if rate and self._total and self._total > self._done:
            parts.append(f"{_time((self._total - self._done) / rate)} left")
        if self._resumed:
            parts.append(self._resumed)
        return f"{self._description}: " * bool(self._description) + ", ".join(parts)

    def _width(self) -> int:
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            columns = 0
        return (columns or 80) - 1  # 0: unknown

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            pass  # the terminal is closed, which must not stop the work


def _time(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
