"""Programs without a codec of their own use the codec server. A worker of the Go SDK has the same codec.

Each language runs its scenarios once with the codec server and once without it, all languages at the same time.
Afterwards the files of the server's database and the recorded traffic are searched for the planted words.
"""

import functools
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import PayloadConverter

from harness.activities import KINDS, Kind
from harness.codec_server import EncryptedActivity
from harness.driver import FROM_ENV, Raw
from harness.program import program
from interop import encrypted_stalls
from interop.encrypted_world import LANGUAGES, SHORT_TIMEOUT_MS, World, handed_over
from interop.stored_values import scheduled_input

DRIVEN = ("c", "cpp", "python", "asyncio", "go", "ruby", "node")

# Slow languages start while the others wait for a timeout.
AT_ONCE = 8

# The codec encodes values of each kind, and this has one more.
OTHERS = (None, b"\xff\0")


def failure(world: World, *name: str) -> dict[str, Any]:
    return {
        "message": world.plant(*name, "message"),
        "type": "T",
        "stack_trace": world.plant(*name, "stack"),
        "details": [world.plant(*name, "failure-details")],
        "cause": {"message": world.plant(*name, "cause")},
    }


def assert_failed(activity: EncryptedActivity, expected: dict[str, Any]) -> None:
    """Checks the failure as the SDK decodes it."""
    seen = activity.outcome().failure
    assert seen
    assert (seen["message"], seen["type"], seen["stack_trace"]) == (expected["message"], "T", expected["stack_trace"])
    assert [seen["details"]] == expected["details"]
    assert seen["cause"]["message"] == expected["cause"]["message"]


def run_driver(language: str, world: World) -> None:
    """The first attempt is killed, or it fails. The second one resumes, and completes or fails."""
    LANGUAGES[language].command()
    killed, failed = {}, {}
    with world.driver(language) as first:
        for kind in KINDS:
            name = (language, kind)
            given = world.plant(*name, "input")
            killed[kind] = world.start(kind, given, heartbeat_timeout_ms=SHORT_TIMEOUT_MS)
            attempt = killed[kind].next_attempt()
            held = first.open_as(f"killed-{kind}", attempt.token, heartbeat_timeout_ms=SHORT_TIMEOUT_MS)
            held.record(world.plant(*name, "details"), *OTHERS)
            held.flush()
            failed[kind] = world.start(kind)
            attempt = failed[kind].next_attempt()
            progress, once = world.plant(*name, "progress"), failure(world, *name, "first")
            if kind == "workflow":
                held = first.open_as(f"failed-{kind}", attempt.token, heartbeat_timeout_ms=SHORT_TIMEOUT_MS)
                held.record(0)
                held.record(progress, *OTHERS)  # sent with the failure
                held.fail(**once)
            else:
                first.heartbeat(attempt.token, progress, *OTHERS)
                first.fail(attempt.token, once)
        first.kill()

    with world.driver(language) as second:
        for kind in KINDS:
            name = (language, kind)
            attempt = failed[kind].next_attempt()
            world.look()
            progress = world.plant(*name, "progress")
            assert (attempt.number, attempt.details) == (2, [progress])
            assert second.get_details(attempt.token).values == [progress, *OTHERS]
            held = second.open_as(f"failed-{kind}", attempt.token, heartbeat_timeout_ms=SHORT_TIMEOUT_MS)
            assert held.details().values == [progress, *OTHERS]
            last = failure(world, *name, "second")
            held.fail(**last, non_retryable=True)
            assert_failed(failed[kind], last)
        for kind in KINDS:
            name = (language, kind)
            attempt = killed[kind].next_attempt()
            world.look()
            details = world.plant(*name, "details")
            assert (attempt.number, attempt.details) == (2, [details])
            assert attempt.input == world.plant(*name, "input")
            assert second.get_details(attempt.token).values == [details, *OTHERS]
            held = second.open_as(f"resumed-{kind}", attempt.token, heartbeat_timeout_ms=SHORT_TIMEOUT_MS)
            assert held.details().values == [details, *OTHERS]
            result = {"result": world.plant(*name, "result")}
            held.complete(result)
            assert killed[kind].outcome().result == result
        world.look()
        assert second.close_stdin() == 0

    run_handed_over(language, "workflow", world)
    run_handed_over(language, "standalone", world)


def run_handed_over(language: str, kind: Kind, world: World) -> None:
    """The parent of a standalone activity hands over encrypted details. Those of a workflow's activity are readable."""
    value = world.plant(language, kind, "handed-over")
    readable = Payloads(payloads=PayloadConverter.default.to_payloads([value, None]))
    details = readable if kind == "workflow" else world.encoded(value, None)
    activity = world.start(kind)
    attempt = activity.next_attempt()
    with world.driver(language, handed_over(attempt, details)) as driver:
        held = driver.open(FROM_ENV)
        assert held.details().values == [value, None]
        stored = world.stored(kind, activity)
        world.look()
        world.assert_encrypted(stored)
        if kind == "standalone":
            assert list(stored) == list(details.payloads)
        held.complete(None)
        assert activity.outcome().result is None
        assert driver.close_stdin() == 0


def run_payloads(world: World) -> None:
    """C sends encoded Payloads: readable, encrypted, a null, and a reference to the SDK's external storage."""
    large = "large " * 100_000
    activity = world.start("workflow", large)
    first = activity.next_attempt()
    assert first.input == large
    value, result = world.plant("payloads-readable"), world.plant("payloads-encrypted")
    [readable] = PayloadConverter.default.to_payloads([value])
    [encrypted] = world.encoded(result).payloads
    null = Payload(metadata={"encoding": b"binary/null"})
    reference = scheduled_input(activity.id, world.sdk_worker)
    assert reference.metadata["messageType"] == b"temporal.api.sdk.v1.ExternalStorageReference"
    with world.driver("c") as driver:
        driver.heartbeat(first.token, _payloads(readable, encrypted, null, reference))
        stored = world.stored("workflow", activity)
        world.look()
        world.assert_encrypted([stored[0], stored[1], stored[2]])
        assert [stored[1], stored[3]] == [encrypted, reference]
        held = driver.get_details(first.token)
        assert held.payloads[0] == ("json/plain", readable.data)
        assert held.payloads[1][0] == "json/plain"
        assert held.payloads[2] == ("binary/null", b"")
        assert held.payloads[3] == (reference.metadata["encoding"].decode(), reference.data)
        assert Payloads.FromString(driver.get_payloads(first.token)).payloads == stored
        driver.fail(first.token, {"message": "again"})

        second = activity.next_attempt()
        assert second.details == [value]
        driver.complete(second.token, _payloads(encrypted))
        assert activity.outcome().result == result
        assert driver.close_stdin() == 0


def _payloads(*values: Payload) -> Raw:
    return Raw(f"payloads:{Payloads(payloads=values).SerializeToString().hex()}")


PRINTS_WHAT_IT_READ = 'echo "$TEMPORAL_ACTIVITY_DETAILS_JSON"'
WAITS = "sleep 1000"


def run_exec_killed(kind: Kind, world: World) -> None:
    activity = world.start(kind, heartbeat_timeout_ms=SHORT_TIMEOUT_MS)
    details, result = world.plant("exec", kind, "details"), world.plant("exec", kind, "result")
    attempt = activity.next_attempt()
    with world.program("exec", "--progress-json", script=f"{prints(details)}; sleep 1000", attempt=attempt) as running:
        world.assert_encrypted(world.stored(kind, activity))
        running.kill()

    attempt = activity.next_attempt()
    world.look()
    assert (attempt.number, attempt.details) == (2, [details])
    script = f'echo "$TEMPORAL_ACTIVITY_DETAILS_JSON {result}"'
    with world.program("exec", "--result", "output", script=script, attempt=attempt) as running:
        assert running.ends() == 0, running.errors()
    assert activity.outcome().result == f'"{details}" {result}'


def run_exec_failed(kind: Kind, world: World) -> None:
    activity = world.start(kind)
    details, message = world.plant("exec", kind, "progress"), world.plant("exec", kind, "message")
    attempt = activity.next_attempt()
    script = f"{prints(details)}; echo {message} >&2; exit 3"
    with world.program("exec", "--progress-json", script=script, attempt=attempt) as running:
        assert running.ends() == 3, running.errors()

    attempt = activity.next_attempt()
    world.look()
    assert (attempt.number, attempt.details) == (2, [details])
    script = f'echo "$TEMPORAL_ACTIVITY_DETAILS_JSON {message}" >&2; exit 4'
    with world.program("exec", "--non-retryable-codes", "4", script=script, attempt=attempt) as running:
        assert running.ends() == 4, running.errors()
    seen = activity.outcome().failure
    assert seen
    assert seen["type"] == "ExitCode"
    assert f'"{details}" {message}' in seen["message"]


def run_work_killed(kind: Kind, world: World) -> None:
    """The worker of the SDK doesn't get these attempts, but its client reads the result."""
    queue = f"work-killed-{kind}"
    given, details = world.plant("work", kind, "input"), world.plant("work", kind, "details")
    result = world.plant("work", kind, "result")
    activity = world.start(kind, given, heartbeat_timeout_ms=SHORT_TIMEOUT_MS, task_queue=queue)
    with world.program("work", "-t", queue, "--progress-json", script=f"{prints(details)}; sleep 1000") as running:
        assert running.line() == f'"{details}"'
        world.assert_encrypted(world.stored(kind, activity))
        running.kill()
    script = f'cat; echo "$TEMPORAL_ACTIVITY_DETAILS_JSON {result}"'
    with world.program("work", "-t", queue, "--max-tasks", "1", "--result", "output", script=script) as running:
        assert running.ends() == 0, running.errors()
    world.look()
    assert activity.outcome().result == f'"{given}"\n"{details}" {result}'


def run_work_failed(kind: Kind, world: World) -> None:
    queue = f"work-failed-{kind}"
    message = world.plant("work", kind, "message")
    activity = world.start(kind, maximum_attempts=1, task_queue=queue)
    with world.program("work", "-t", queue, "--max-tasks", "1", script=f"echo {message} >&2; exit 3") as running:
        assert running.ends() == 0, running.errors()
    seen = activity.outcome().failure
    assert seen
    assert message in seen["message"]


def prints(value: str) -> str:
    """Returns a command that prints the value as JSON."""
    return f"""echo '"{value}"'"""


# Those that wait longest begin first.
RUNS: dict[str, Callable[[World], None]] = {
    **{f"exec-killed-{kind}": functools.partial(run_exec_killed, kind) for kind in KINDS},
    **{f"work-killed-{kind}": functools.partial(run_work_killed, kind) for kind in KINDS},
    **{language: functools.partial(run_driver, language) for language in DRIVEN},
    **{f"exec-failed-{kind}": functools.partial(run_exec_failed, kind) for kind in KINDS},
    **{f"work-failed-{kind}": functools.partial(run_work_failed, kind) for kind in KINDS},
    "payloads": run_payloads,
    **encrypted_stalls.RUNS,
}


def build() -> None:
    """Builds all programs before an attempt starts."""
    program()
    encrypted_stalls.build()
    for language in DRIVEN:
        LANGUAGES[language].is_available()


# Without the codec, one run of each sort is enough to test the search.
READABLE_RUNS = (
    RUNS
    if os.environ.get("THB_SLOW") == "1"
    else {
        name: RUNS[name]
        for name in ("work-killed-workflow", "cpp", "exec-failed-workflow", "payloads", *encrypted_stalls.RUNS)
    }
)


@dataclass(frozen=True)
class Outcome:
    # By the names of RUNS.
    runs: Mapping[str, "Future[None]"]
    planted: set[str]
    stored: set[str]
    sent: set[str]
    # The programs whose requests the codec server would accept.
    authorized: set[str]


def run_all(chosen: Mapping[str, Callable[[World], None]], folder: Path, *, encrypts: bool) -> Outcome:
    build()
    with World(folder, encrypts=encrypts) as world, ThreadPoolExecutor(AT_ONCE) as pool:
        runs = {name: pool.submit(run, world) for name, run in chosen.items()}
        wait(runs.values())
        world.look()
        sent, authorized = world.sent(), world.authorized()
    world.look()
    return Outcome(runs, world.planted, world.found, sent, authorized)


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run_all(RUNS, tmp_path_factory.mktemp("encrypted"), encrypts=True)


@pytest.fixture(scope="module")
def readable(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run_all(READABLE_RUNS, tmp_path_factory.mktemp("readable"), encrypts=False)


@pytest.mark.parametrize("name", RUNS)
def test_values_cross_in_both_directions(name: str, encrypted: Outcome) -> None:
    encrypted.runs[name].result()


def test_no_value_is_readable_in_the_database_or_in_the_traffic(encrypted: Outcome) -> None:
    assert encrypted.planted
    assert encrypted.stored == set()
    assert encrypted.sent == set()


def test_each_program_sends_the_headers_of_its_options(encrypted: Outcome) -> None:
    assert encrypted.authorized == {*DRIVEN, "exec", "work"}


def test_without_the_codec_every_value_is_found(readable: Outcome) -> None:
    """The test of the test: the search finds what is there."""
    for run in readable.runs.values():
        if not isinstance(run.exception(), pytest.skip.Exception):
            run.result()
    assert readable.stored == readable.planted
    # Only a worker gets the input.
    inputs = {word for word in readable.planted if word.endswith("-input-word") and "-work-" not in word}
    assert readable.sent == readable.planted - inputs
