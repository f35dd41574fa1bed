"""The progress bar of `track`: on a terminal only, with tqdm if it is installed."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import sys
import threading
import time
import types
from typing import Any

import pytest
from support import BlackHole

import temporal_heartbeat as thb
from temporal_heartbeat import Activity, track


def open_activity(*details: Any) -> Activity:
    return Activity(b"token", initial_details=details, heartbeat_timeout=30, close_timeout=0)


class Terminal:
    """Makes stderr a terminal for a block, and keeps what is written to it."""

    def __enter__(self) -> Terminal:
        ours, theirs = pty.openpty()
        self.stream = open(theirs, "w")
        self._received = b""
        self._reader = threading.Thread(target=self._read, args=[ours])
        self._reader.start()
        self._redirected = contextlib.redirect_stderr(self.stream)
        self._redirected.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._redirected.__exit__(None, None, None)
        self.stream.close()
        self._reader.join(20)

    def _read(self, ours: int) -> None:
        with contextlib.suppress(OSError):  # the end of a terminal is an error
            while part := os.read(ours, 4096):
                self._received += part
        os.close(ours)

    @property
    def text(self) -> str:
        """Everything that was written in the block."""
        return self._received.decode()


@pytest.fixture
def no_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)


def test_a_terminal_shows_what_is_done_and_where_it_resumed(
    connected: BlackHole, no_tqdm: None
) -> None:
    with Terminal() as terminal, open_activity(41) as act:
        for _ in track(range(100), act, description="training"):
            pass
    first, *_, last = terminal.text.replace("\r\n", "\n").split("\r")[1:]
    assert first.startswith("training: 42/100 (42%), 0:00, resumed, 42 done before")
    assert last.startswith("training: 100/100 (100%), 0:0")
    assert last.rstrip(" \n").endswith("resumed, 42 done before")
    assert last.endswith("\n")


def test_an_unknown_length_can_be_passed(connected: BlackHole, no_tqdm: None) -> None:
    with Terminal() as terminal:
        with open_activity() as act:
            assert list(track((item for item in range(4)), act, total=4)) == [0, 1, 2, 3]
        with open_activity() as act:
            assert list(track((item for item in range(3)), act)) == [0, 1, 2]
    text = terminal.text
    assert "4/4 (100%)" in text
    assert "\r3, 0:0" in text
    assert "resumed" not in text


def test_a_bar_is_updated_at_most_ten_times_per_second(connected: BlackHole, no_tqdm: None) -> None:
    began = time.monotonic()
    with Terminal() as terminal, open_activity() as act:
        for _ in track(range(20_000), act):
            pass
    elapsed = time.monotonic() - began
    # The first and the last state are always shown.
    assert terminal.text.replace("\r\n", "").count("\r") <= 10 * elapsed + 3


def test_a_line_fits_into_the_terminal(
    connected: BlackHole, no_tqdm: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((30, 24)))
    with Terminal() as terminal, open_activity(1) as act:
        list(track(range(5), act, description="a long description"))
    lines = terminal.text.replace("\r\n", "").split("\r")
    assert max(map(len, lines)) == 29


def test_a_pause_is_shown(connected: BlackHole, no_tqdm: None) -> None:
    class Paused(Activity):
        def heartbeat(self, *details: Any) -> thb.Signals:
            return super().heartbeat(*details) | thb.Signals.PAUSED

    with (
        Terminal() as terminal,
        Paused(b"token", initial_details=[], heartbeat_timeout=30, close_timeout=0) as act,
    ):
        list(track("a", act))
    shown = terminal.text.replace("\r\n", "\n").split("\r")
    assert any("1 (100%), paused, 0:0" in line for line in shown)
    assert "paused" not in shown[-1]


def test_a_body_that_raises_leaves_a_whole_line(connected: BlackHole, no_tqdm: None) -> None:
    with Terminal() as terminal, open_activity() as act, contextlib.suppress(KeyError):
        for _ in track("abc", act):
            raise KeyError
    assert terminal.text.endswith("\n")


def test_the_bar_can_be_turned_off(connected: BlackHole, no_tqdm: None) -> None:
    with Terminal() as terminal, open_activity() as act:
        list(track("abc", act, progress=False))
    assert terminal.text == ""


@pytest.mark.parametrize("has_stderr", [True, False])
def test_without_a_terminal_nothing_is_shown(
    has_stderr: bool, connected: BlackHole, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = io.StringIO() if has_stderr else None
    monkeypatch.setattr(sys, "stderr", stderr)
    with open_activity(0) as act:
        assert list(track("abc", act)) == ["b", "c"]
    assert stderr is None or stderr.getvalue() == ""


class Tqdm:
    """Keeps what it gets, instead of showing it."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.n = options["initial"]
        self.notes: list[str] = []
        self.closed = False
        bars.append(self)

    def update(self, count: int) -> None:
        self.n += count

    def set_postfix_str(self, text: str) -> None:
        self.notes.append(text)

    def close(self) -> None:
        self.closed = True


bars: list[Tqdm] = []


def test_tqdm_is_used_if_it_is_installed(
    connected: BlackHole, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("tqdm")
    monkeypatch.setattr(module, "tqdm", Tqdm, raising=False)
    monkeypatch.setitem(sys.modules, "tqdm", module)
    bars.clear()
    with Terminal() as terminal, open_activity(1) as act:
        assert list(track("abcde", act, description="letters")) == ["c", "d", "e"]
    [bar] = bars
    assert (bar.options["total"], bar.options["desc"], bar.options["file"]) == (
        5,
        "letters",
        terminal.stream,
    )
    assert (bar.n, bar.closed, bar.notes[0]) == (5, True, "resumed, 2 done before")
