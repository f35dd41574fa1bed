"""Programs that iterate over the items of an activity: each language resumes where another one was killed."""

import functools
import shutil
import sys
from contextlib import ExitStack

from temporalio.exceptions import ApplicationError, CancelledError

from harness.build import compile_c, compile_cpp, run
from harness.examples import rust
from harness.fixtures import StartActivity
from harness.handoff_program import SERVER_TIMEOUT_MS, start_program
from harness.languages import linked
from harness.paths import BUILD, ROOT
from harness.requires import requires
from harness.server import Server
from harness.worker import SdkWorker

BINDINGS = ROOT / "bindings"
LANGUAGES = ("python", "c", "cpp", "go", "rust")


@functools.cache
def _example(language: str) -> list[str]:
    program = BUILD / f"track_{language}"
    match language:
        case "python":
            return [sys.executable, str(BINDINGS / "python/examples/track.py")]
        case "c":
            compile_c(BINDINGS / "c/examples/track.c", program, *linked())
        case "cpp":
            compile_cpp(BINDINGS / "cpp/examples/track.cpp", program, *linked())
        case "go":
            go = requires(shutil.which("go"), "go")
            run([go, "-C", str(BINDINGS / "go"), "build", "-o", str(program), "./examples/track"])
            return [str(program), "-items"]
        case "rust":
            return rust("track")
    return [str(program)]


def example(language: str, items: int) -> list[str]:
    return [*_example(language), str(items)]


def test_activity_continues_in_each_language_after_a_kill_in_another_one(
    server: Server, start: StartActivity, sdk_worker: SdkWorker
) -> None:
    for language in LANGUAGES:
        example(language, 0)  # built before an attempt starts
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    done = -1
    for language in LANGUAGES:
        attempt = activity.next_attempt()
        [last] = attempt.details or [-1]
        assert last >= done
        with start_program(example(language, 1_000_000), attempt, server) as program:
            assert int(program.expect(r": item (\d+) done$")[1]) == last + 1
            while not activity.heartbeat_details() or activity.heartbeat_details()[0] == last:
                program.expect(r"done$")
            program.kill()
        done = last + 1
        sdk_worker.fail(attempt.token)
    attempt = activity.next_attempt()
    [last] = attempt.details
    with start_program(example("python", last + 3), attempt, server) as program:
        assert [line.split(": ")[1] for line in program.read_lines()] == [
            f"item {last + 1} done\n",
            f"item {last + 2} done\n",
        ]
        assert program.wait() == 0
    assert activity.result() == last + 3


EACH_ITEM_IS_FLUSHED = """
import temporal_heartbeat as thb

thb.connect()
with thb.Activity.from_env() as act:
    for item in thb.track(range(1_000_000), act, flush_every=0):
        print("begins item", item, flush=True)
"""


def test_no_item_is_repeated_after_a_kill_if_each_one_is_flushed(
    server: Server, start: StartActivity, sdk_worker: SdkWorker
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    attempt = activity.next_attempt()
    with start_program([sys.executable, "-c", EACH_ITEM_IS_FLUSHED], attempt, server) as program:
        program.expect("begins item 20$")
        program.kill()
        begun = 20 + sum(1 for _ in program.read_lines())
    sdk_worker.fail(attempt.token)
    # The server may have the record of an item that was in progress when the output was read.
    assert activity.next_attempt().details in ([begun - 1], [begun])


def test_iteration_over_items_that_are_done_only_completes(
    server: Server, start: StartActivity, sdk_worker: SdkWorker
) -> None:
    command = example("c", 3)
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS)
    attempt = activity.next_attempt()
    sdk_worker.heartbeat(attempt.token, 2)
    sdk_worker.fail(attempt.token)
    with start_program(command, activity.next_attempt(), server) as program:
        assert list(program.read_lines()) == []
        assert program.wait() == 0
    assert activity.result() == 3


def test_cancelled_iterations_end_their_activities(server: Server, start: StartActivity) -> None:
    commands = [example(language, 1_000_000) for language in LANGUAGES]
    activities = [start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS) for _ in LANGUAGES]
    with ExitStack() as stack:
        programs = [
            stack.enter_context(start_program(command, activity.next_attempt(), server))
            for command, activity in zip(commands, activities, strict=True)
        ]
        for program, activity in zip(programs, activities, strict=True):
            program.expect("item 0 done")
            activity.request_cancel()
        for program, activity in zip(programs, activities, strict=True):
            assert isinstance(activity.failure(), CancelledError)
            program.wait()


def test_foreign_details_fail_the_attempt_with_the_reason(
    server: Server, start: StartActivity, sdk_worker: SdkWorker
) -> None:
    activity = start("workflow", heartbeat_timeout_ms=SERVER_TIMEOUT_MS, maximum_attempts=2)
    attempt = activity.next_attempt()
    sdk_worker.heartbeat(attempt.token, {"epoch": 7})
    sdk_worker.fail(attempt.token)
    with start_program(example("python", 3), activity.next_attempt(), server) as program:
        error = activity.failure()
        assert isinstance(error, ApplicationError)
        assert "aren't the index of an item, but {'epoch': 7}" in error.message
        assert program.wait() == 1
