"""Runs test suites, all of them even if some fail, and reports what failed, the slowest tests and the totals.

    suites.py [rust] [service] [go] [python] [scenarios]      default: all

All suites but the scenarios run at the same time, because some compute and the others mostly wait. At the end, a test
that failed is repeated with nothing else beside it. If it passes then, it is listed as unstable: a timeout is too short
for a busy machine, or it has a race. More than UNSTABLE_LIMIT failed tests aren't repeated. The last line is
`N passed, N failed`. `make test` builds what the suites need first.
"""

import functools
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parents[1]
SLOWEST = 20
UNSTABLE_LIMIT = 3


class Outcome(Enum):
    PASSED = "passed"
    FAILED = "failed"
    UNSTABLE = "unstable"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Command:
    """A command that runs tests."""

    arguments: Sequence[str]
    folder: Path


@dataclass(frozen=True)
class Result:
    """The result of one test. A command that fails without a failed test, for example in a compiler, is one too."""

    name: str
    outcome: Outcome
    seconds: float = 0.0
    # Runs this test only. None if it isn't a test.
    repeat: Command | None = None


Suite = Callable[[], Iterator[Result]]


class Output(threading.local):
    """Where a suite prints."""

    file: TextIO = sys.stdout


OUTPUT = Output()


def at_once(suites: Sequence[Suite]) -> Iterator[Result]:
    """Runs suites at the same time. Prints the output of the first one at once, and that of the others at its end."""

    def run_in_background(suite: Suite) -> tuple[list[Result], str]:
        OUTPUT.file = io.StringIO()
        return list(suite()), OUTPUT.file.getvalue()

    with ThreadPoolExecutor(len(suites)) as pool:
        others = [pool.submit(run_in_background, suite) for suite in suites[1:]]
        yield from suites[0]()
        for other in others:
            results, printed = other.result()
            print(printed, end="", file=OUTPUT.file, flush=True)
            yield from results


def rust() -> Iterator[Result]:
    """Runs the tests of the crate and of the command-line program, but not those of `service`."""
    names = ["abi", *sorted(path.stem for path in (ROOT / "tests").glob("*.rs"))]
    return cargo_test(["--lib", "--bins", *(word for name in names for word in ("--test", name))])


HALF_OF_SERVICE = ("activity::", "faults::", "futures::", "retries::")


def service() -> Iterator[Result]:
    """Runs the library against a server in the test.

    A process has only one client, so its tests wait for each other, and for the server. So two processes share them.
    """
    others = [word for module in HALF_OF_SERVICE for word in ("--skip", module)]
    return at_once([functools.partial(cargo_test, ["--test", "service"], words) for words in (HALF_OF_SERVICE, others)])


def cargo_test(targets: Sequence[str], words: Sequence[str] = ()) -> Iterator[Result]:
    host = re.search("^host: (.*)$", output(["rustc", "-vV"]), flags=re.MULTILINE)
    assert host
    # libtest reports the time of each test only with this variable. It is set for the tests and not for the compiler.
    runner = {f"CARGO_TARGET_{host[1].upper().replace('-', '_')}_RUNNER": "env RUSTC_BOOTSTRAP=1"}
    command = [os.environ.get("CARGO", "cargo"), "test", "--no-fail-fast", "--features", "cli", *targets, "--"]
    results = functools.partial(libtest_results, command)
    yield from run(Command([*command, "-Zunstable-options", "--report-time", *words], ROOT), results, runner)


OF_LIBTEST = re.compile(r"^test (.+?)(?: - should panic)? \.\.\. (ok|FAILED|ignored)(?:, .*)?(?: <([0-9.]+)s>)?$")
LIBTEST_OUTCOMES = {"ok": Outcome.PASSED, "FAILED": Outcome.FAILED, "ignored": Outcome.SKIPPED}


def libtest_results(command: Sequence[str], lines: Iterator[str]) -> Iterator[Result]:
    target = ""
    for line in lines:
        print(line, end="", file=OUTPUT.file, flush=True)
        if found := re.match(r"^ +Running (?:unittests )?(\S+)", line):
            target = found[1].removesuffix("/main.rs")
        elif found := OF_LIBTEST.match(line.rstrip("\n")):
            repeat = Command([*command, "--exact", found[1]], ROOT)
            yield Result(f"{target} {found[1]}", LIBTEST_OUTCOMES[found[2]], float(found[3] or 0), repeat)


def go() -> Iterator[Result]:
    """Checks and tests the Go binding, and tests it with the official SDK."""
    program = os.environ.get("GO", "go")
    binding = ROOT / "bindings" / "go"
    yield from run(Command([program, "vet", "./..."], binding), no_results)
    for module in (binding, binding / "internal" / "sdktest"):
        command = Command([program, "test", "-json"], module)
        yield from run(Command([*command.arguments, "./..."], module), functools.partial(go_results, command))


GO_OUTCOMES = {"pass": Outcome.PASSED, "fail": Outcome.FAILED, "skip": Outcome.SKIPPED}


def go_results(command: Command, lines: Iterator[str]) -> Iterator[Result]:
    printed: dict[str, list[str]] = {}
    for line in lines:
        if not line.startswith("{"):
            print(line, end="", file=OUTPUT.file, flush=True)
            continue
        event = json.loads(line)
        package, test = event.get("Package", ""), event.get("Test", "")
        text = event.get("Output")
        if text and not test:
            print(text, end="", file=OUTPUT.file, flush=True)
        elif text:
            printed.setdefault(f"{package} {test}", []).append(text)
        elif test and event["Action"] in GO_OUTCOMES:
            outcome = GO_OUTCOMES[event["Action"]]
            own = printed.pop(f"{package} {test}", [])
            if outcome is Outcome.FAILED:
                print(*own, sep="", end="", file=OUTPUT.file, flush=True)
            pattern = "/".join(f"^{re.escape(part)}$" for part in test.split("/"))
            repeat = Command([*command.arguments, "-count=1", "-run", pattern, package], command.folder)
            yield Result(f"{package} {test}", outcome, event.get("Elapsed", 0.0), repeat)


def python() -> Iterator[Result]:
    """Runs the tests of the Python binding."""
    return pytest(ROOT / "bindings" / "python")


def scenarios() -> Iterator[Result]:
    """Runs the scenarios in every language on a real server. The tests mostly wait, so six processes run them."""
    return pytest(ROOT / "tests", "-n", "6")


def pytest(folder: Path, *arguments: str) -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        command = [sys.executable, "-m", "pytest"]

        def results(lines: Iterator[str]) -> Iterator[Result]:
            for line in lines:
                print(line, end="", file=OUTPUT.file, flush=True)
            if report.exists():
                yield from junit_results(Command(command, folder), report)

        yield from run(Command([*command, f"--junitxml={report}", *arguments], folder), results)


def junit_results(command: Command, report: Path) -> Iterator[Result]:
    for case in ElementTree.parse(report).iter("testcase"):
        outcome = Outcome.PASSED
        if case.find("skipped") is not None:
            outcome = Outcome.SKIPPED
        if case.find("failure") is not None or case.find("error") is not None:
            outcome = Outcome.FAILED
        module, name = case.get("classname", ""), case.get("name", "")
        file = command.folder.joinpath(*module.split(".")).with_suffix(".py")
        repeat = Command([*command.arguments, f"{file}::{name}"], command.folder) if file.is_file() else None
        yield Result(f"{module}::{name}", outcome, float(case.get("time", 0)), repeat)


def no_results(lines: Iterator[str]) -> Iterator[Result]:
    for line in lines:
        print(line, end="", file=OUTPUT.file, flush=True)
    yield from ()


def run(
    command: Command,
    results: Callable[[Iterator[str]], Iterator[Result]],
    variables: dict[str, str] | None = None,
) -> Iterator[Result]:
    """Runs a command whose output contains results."""
    has_failed = False
    print("$", *command.arguments, file=OUTPUT.file, flush=True)
    with subprocess.Popen(
        command.arguments,
        cwd=command.folder,
        env=os.environ | (variables or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout
        for result in results(iter(process.stdout.readline, "")):
            has_failed |= result.outcome is Outcome.FAILED
            yield result
    if process.returncode != 0 and not has_failed:
        yield Result(f"{' '.join(command.arguments)}: exit status {process.returncode}", Outcome.FAILED)


def repeated(result: Result) -> Result:
    """Repeats a failed test, with nothing else beside it."""
    if result.outcome is not Outcome.FAILED or result.repeat is None:
        return result
    print(f"\nRepeats {result.name}", flush=True)
    passes = subprocess.run(result.repeat.arguments, cwd=result.repeat.folder).returncode == 0
    return replace(result, outcome=Outcome.UNSTABLE) if passes else result


def output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


SUITES: dict[str, Suite] = {"rust": rust, "service": service, "go": go, "python": python, "scenarios": scenarios}
ALONE = {"scenarios"}


def main(names: Sequence[str]) -> int:
    began = time.monotonic()
    chosen = names or tuple(SUITES)
    groups = [[name for name in chosen if name not in ALONE], *([name] for name in chosen if name in ALONE)]
    results = [result for group in groups if group for result in at_once([SUITES[name] for name in group])]
    if sum(result.outcome is Outcome.FAILED for result in results) <= UNSTABLE_LIMIT:
        results = [repeated(result) for result in results]
    of = {outcome: [result for result in results if result.outcome is outcome] for outcome in Outcome}
    print(f"\nThe {SLOWEST} slowest tests:")
    for result in sorted(results, key=lambda result: -result.seconds)[:SLOWEST]:
        print(f"{result.seconds:7.1f} s  {result.name}")
    if of[Outcome.UNSTABLE]:
        print("\nUnstable, passed when repeated alone:", *(result.name for result in of[Outcome.UNSTABLE]), sep="\n  ")
    if of[Outcome.FAILED]:
        print("\nFailed:", *(result.name for result in of[Outcome.FAILED]), sep="\n  ")
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    counts = f"Skipped: {len(of[Outcome.SKIPPED])}. Unstable: {len(of[Outcome.UNSTABLE])}"
    print(f"\nTotal time: {minutes} min {seconds} s. {counts}")
    print(f"{len(of[Outcome.PASSED])} passed, {len(of[Outcome.FAILED])} failed")
    return 1 if of[Outcome.FAILED] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
