"""The demo: kills, languages, the verdict, and no leftovers."""

import importlib
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from harness.paths import ROOT, library
from harness.requires import requires

DEMO = ROOT / "examples" / "demo"
PROGRAMS = ROOT / "target" / "examples"
ITEMS = 30
LIMIT_S = 120.0

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


@dataclass
class Relay:
    """A run of the demo without interruptions."""

    languages: list[str]
    options: list[str]

    def start(self, directory: Path) -> None:
        self.file = directory / "done"
        command = demo(*self.options, "--items", str(ITEMS), "--file", str(self.file))
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(self) -> None:
        self.output, _ = self.process.communicate(timeout=LIMIT_S)

    def done(self) -> list[tuple[int, str, int]]:
        lines = (line.split() for line in self.file.read_text().splitlines())
        return [(int(attempt), language, int(item)) for attempt, language, item in lines]


RELAYS = {
    "seed 1": Relay(["c", "python", "go"], ["--seed", "1"]),
    "seed 2": Relay(["c", "python", "go"], ["--seed", "2"]),
    "seed 3": Relay(["c", "python", "go"], ["--seed", "3"]),
    "linked": Relay(["c", "c++"], ["--seed", "4", "--relay", "c-linked,c++"]),
}


@pytest.fixture(scope="module")
def relays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Relay]:
    """Starts all relays at once, because they mostly wait for heartbeat timeouts."""
    built()
    for relay in RELAYS.values():
        relay.start(tmp_path_factory.mktemp("relay"))
    for relay in RELAYS.values():
        relay.end()
    return RELAYS


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest, relays: dict[str, Relay]) -> Relay:
    return relays[request.param]


def test_relay_succeeds(relay: Relay) -> None:
    assert relay.process.returncode == 0, relay.output
    assert "All is well." in relay.output


def test_no_item_is_lost(relay: Relay) -> None:
    assert {item for _, _, item in relay.done()} == set(range(1, ITEMS + 1)), relay.output


def test_each_attempt_resumes_in_its_language_where_the_killed_one_stopped(relay: Relay) -> None:
    done = relay.done()
    assert sorted({(attempt, language) for attempt, language, _ in done}) == list(enumerate(relay.languages, 1))
    items = [[item for attempt, _, item in done if attempt == number + 1] for number in range(len(relay.languages))]
    for killed, successor in pairwise(items):
        assert successor[0] in (killed[-1], killed[-1] + 1), "at most one item is done twice for a kill"
    assert all(part == list(range(part[0], part[-1] + 1)) for part in items)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(DEMO))
    return importlib.import_module


def test_a_seed_repeats_the_kills(module: Callable[[str], ModuleType]) -> None:
    plan = module("relay").plan_kills
    assert plan(1, 40, 2) == plan(1, 40, 2) != plan(2, 40, 2)


def test_every_seed_kills_in_the_middle_of_each_attempts_work(module: Callable[[str], ModuleType]) -> None:
    plan = module("relay").plan_kills
    for seed in range(500):
        first, second = (kill.item for kill in plan(seed, 6, 2))
        assert 1 < first < second < 6


GOOD = ["1 c 1", "1 c 2", "2 python 2", "2 python 3", "3 go 4", "3 go 5"]


@pytest.mark.parametrize(
    ("lines", "result", "fault"),
    [
        (GOOD, 5, None),
        (GOOD[:2] + GOOD[3:], 5, None),
        (GOOD[:5], 5, "lost: [5]"),
        (GOOD[:3] + GOOD[4:], 5, "lost: [3]"),
        (GOOD, 4, "the workflow returned 4"),
        ([*GOOD, "3 go 6"], 5, "only items 1 to 5"),
        ([*GOOD[:2], "2 python 1", *GOOD[2:]], 5, "attempt 2 began with item 1"),
        ([*GOOD[:2], "1 c 2", *GOOD[2:]], 5, "attempt 1 did not do its items one after the other"),
        ([line.replace("python", "go") for line in GOOD], 5, "the attempts were not"),
        ([*GOOD[:2], "2 python 3", "2 python 4", "2 python 5"], 5, "the attempts were not"),
        ([], 5, "lost: [1, 2, 3, 4, 5]"),
    ],
)
def test_verdict_names_the_fault(
    module: Callable[[str], ModuleType], lines: list[str], result: int, fault: str | None
) -> None:
    done = [module("done_file").parse(line) for line in lines]
    summary = module("summary").summarize(done, 5, ["c", "python", "go"], result)
    assert bool(summary.faults) == bool(fault)
    assert not fault or fault in "\n".join(summary.faults)


class Watched:
    """A demo with its output, which tests read while it runs. Its processes have a mark in their environment."""

    def __init__(self, directory: Path, on_terminal: bool = False) -> None:
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        self.mark = f"DEMO_TEST={directory}"
        name, _, value = self.mark.partition("=")
        read, write = pty.openpty() if on_terminal else os.pipe()
        self.process = subprocess.Popen(
            demo("--seed", "1"),
            stdout=write,
            stderr=write,
            env=os.environ | {name: value, "TMPDIR": str(self.temporary), "TERM": "xterm"},
        )
        os.close(write)
        self.output = ""
        self._read = read

    def until(self, pattern: str) -> re.Match[str]:
        while not (found := re.search(pattern, self.output)):
            assert self._more(), f"ended before it said {pattern!r}:\n{self.output}"
        return found

    def end(self) -> int:
        while self._more():
            pass
        return self.process.wait(LIMIT_S)

    def _more(self) -> bool:
        assert select.select([self._read], [], [], LIMIT_S)[0], f"nothing for {LIMIT_S} s after:\n{self.output}"
        try:
            data = os.read(self._read, 4096)
        except OSError:  # the last process on the terminal has exited
            return False
        self.output += data.decode()
        return bool(data)

    def others(self) -> list[int]:
        """Returns the processes that the demo started."""
        return [pid for pid in processes_with(self.mark) if pid != self.process.pid]

    def stop(self) -> None:
        for pid in processes_with(self.mark):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._read)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    built()
    started = []

    def start(on_terminal: bool = False) -> Watched:
        started.append(Watched(tmp_path, on_terminal))
        return started[-1]

    yield start
    for demo in started:
        demo.stop()


@pytest.mark.parametrize(
    ("moment", "number", "code"),
    [
        ("starting Temporal Server", signal.SIGINT, INTERRUPTED),
        ("server on", signal.SIGTERM, TERMINATED),
        (r"item \d+ of", signal.SIGINT, INTERRUPTED),
        ("killed after item", signal.SIGTERM, TERMINATED),
    ],
)
def test_interrupted_demo_leaves_nothing_behind(
    start: Callable[..., Watched], moment: str, number: signal.Signals, code: int
) -> None:
    demo = start()
    demo.until(moment)
    demo.process.send_signal(number)
    demo.process.send_signal(number)  # a second signal changes nothing
    assert demo.end() == code, demo.output
    assert demo.others() == []
    assert list(demo.temporary.iterdir()) == []
    port = re.search(r"server on 127\.0\.0\.1:(\d+)", demo.output)
    assert not port or not listens(int(port[1]))


def test_interrupted_drawing_restores_the_cursor(start: Callable[..., Watched]) -> None:
    demo = start(on_terminal=True)
    demo.until("C was killed")
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == INTERRUPTED
    hidden, shown = demo.output.rfind("\x1b[?25l"), demo.output.rfind("\x1b[?25h")
    assert 0 <= hidden < shown
    assert demo.others() == []


def test_killed_demo_leaves_no_server_behind(start: Callable[..., Watched]) -> None:
    demo = start()
    port = int(demo.until(r"server on 127\.0\.0\.1:(\d+)")[1])
    demo.until("attempt 1, C: started")
    others = [os.pidfd_open(pid) for pid in demo.others() if "start-dev" in command_line(pid)]
    assert len(others) == 1
    demo.process.kill()
    assert select.select(others, [], [], LIMIT_S)[0]
    os.close(others[0])
    assert not listens(port)


def test_missing_program_is_named_with_its_build_command(tmp_path: Path) -> None:
    absent = tmp_path / "libtemporal_heartbeat.so"
    run = subprocess.run(
        demo(),
        env=os.environ | {"TEMPORAL_HEARTBEAT_LIBRARY": str(absent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stdout == ""
    assert str(absent) in run.stderr
    assert "make demo" in run.stderr


def demo(*options: str) -> list[str]:
    return [sys.executable, str(DEMO / "demo.py"), *options]


def built() -> None:
    programs = [PROGRAMS / name for name in ("resume", "resume_dlopen", "resume_cpp", "resume_go")]
    requires(all(path.exists() for path in (library(), *programs)), "`make examples`")


def processes_with(mark: str) -> list[int]:
    """Returns the processes with the mark in their environment. An exited process has no environment."""
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if mark in content(path)]


def command_line(pid: int) -> str:
    return " ".join(content(Path(f"/proc/{pid}/cmdline")))


def content(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode(errors="replace").split("\0")
    except OSError:  # the process has just exited
        return []


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
