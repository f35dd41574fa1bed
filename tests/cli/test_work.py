"""`work` polls a task queue and runs a command for each activity: a worker without code."""

import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.deployment.v1 import WorkerDeploymentVersion
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentVersionRequest,
    UpdateActivityExecutionOptionsRequest,
)
from temporalio.client import ActivityFailureError, ActivityHandle
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ApplicationError, CancelledError, TimeoutError, TimeoutType
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from harness.activities import changed_timeouts
from harness.fixtures import StartOnQueue
from harness.orphans import ORPHANS, SUBREAPER
from harness.polling import wait_until
from harness.program import Program, StartProgram
from harness.proxy import Proxy
from harness.scripted_codec import ScriptedCodec, body, encode, status
from harness.server import NAMESPACE, Server, dev_server, find_program
from harness.worker import ACTIVITY_TYPE, ActivityOptions, OneActivity, SdkWorker

USAGE, INVALID_ARGUMENT = 64, 65


def result(sdk_worker: SdkWorker, handle: ActivityHandle[Any]) -> Any:
    return sdk_worker.run(handle.result(), timeout=60)


def failure(sdk_worker: SdkWorker, handle: ActivityHandle[Any]) -> BaseException:
    with pytest.raises(ActivityFailureError) as caught:
        result(sdk_worker, handle)
    assert caught.value.cause
    return caught.value.cause


def work(start_program: StartProgram, queue: str, *flags: str, command: str) -> Program:
    return start_program("work", "-t", queue, *flags, "--", "sh", "-c", command)


def test_input_is_passed_by_stdin_and_file_and_output_is_the_result(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    script = 'cat; cmp "$TEMPORAL_ACTIVITY_INPUT_FILE" - < /dev/null || cat "$TEMPORAL_ACTIVITY_INPUT_FILE"'
    running = work(start_program, queue, "--result", "output", "--max-tasks", "3", command=script)
    assert result(sdk_worker, start_here({"month": 7}, "x")) == '{"month":7}\n"x"\n{"month":7}\n"x"'
    assert result(sdk_worker, start_here()) == ""
    assert result(sdk_worker, start_here(b"\xff\0")) == b"\xff\0" * 2
    assert running.ends() == 0
    assert running.errors().count("completed") == 3


def test_environment_describes_the_activity(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    names = ["TYPE", "ID", "RUN_ID", "TASK_QUEUE", "ATTEMPT", "HEARTBEAT_TIMEOUT_MS", "DEADLINE_MS", "INPUT_ENCODING"]
    script = "; ".join(f'echo "$TEMPORAL_ACTIVITY_{name}"' for name in names)
    script += '; echo "${TEMPORAL_ACTIVITY_WORKFLOW_ID-none}${TEMPORAL_ACTIVITY_TASK_TOKEN-none}"'
    work(start_program, queue, "--result", "output", command=script)
    handle = start_here(1, heartbeat_timeout=timedelta(seconds=30))
    said = result(sdk_worker, handle).splitlines()
    assert said == ["report", handle.id, handle.run_id, queue, "1", "30000", "60000", "json/plain", "nonenone"]


def test_missing_heartbeat_timeout_is_reported_once(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram, tmp_path: Path
) -> None:
    flags = ["--max-tasks", "2", "-c", "2", "--cancel-poll", "100ms"]
    running = work(start_program, queue, *flags, command=f"until [ -e {tmp_path}/go ]; do sleep 0.05; done")
    handles = [start_here() for _ in range(2)]
    running.says("it has no heartbeat timeout")
    (tmp_path / "go").touch()
    assert [result(sdk_worker, handle) for handle in handles] == [0, 0]
    assert running.ends() == 0
    assert running.errors().count("it has no heartbeat timeout") == 1


def test_slots_limit_concurrent_commands(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    """Six commands of 2 s each run in three slots: at most three at the same time."""
    running = work(start_program, queue, "-c", "3", command="echo began; sleep 2; echo ended")
    handles = [start_here() for _ in range(6)]
    said = [running.line() for _ in range(12)]
    at_once, most = 0, 0
    for word in said:
        at_once += 1 if word == "began" else -1
        most = max(most, at_once)
    assert most == 3
    assert [result(sdk_worker, handle) for handle in handles] == [0] * 6


def test_activity_of_another_type_is_left_to_another_worker(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    first = work(start_program, queue, "--activity-type", "other", "--max-tasks", "1", command="echo wrong")
    handle = start_here(type="report")
    assert first.ends() == 0
    assert "no activity of type report is run by this worker; it runs other" in first.errors()
    assert first.rest() == b""
    work(start_program, queue, "--activity-type", "other", "--activity-type", "report", command="exit 0")
    assert result(sdk_worker, handle) == 0


def test_command_that_fails_is_retried(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    work(start_program, queue, "--result", "output", command='test "$TEMPORAL_ACTIVITY_ATTEMPT" = 3 && echo third')
    assert result(sdk_worker, start_here()) == "third"


def test_start_to_close_timeout_stops_the_command(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    running = work(start_program, queue, "--max-tasks", "1", command="trap 'echo stopped' TERM; echo ready; sleep 1000")
    once = RetryPolicy(maximum_attempts=1)
    handle = start_here(start_to_close_timeout=timedelta(seconds=1), retry_policy=once)
    assert running.line() == "ready"
    error = failure(sdk_worker, handle)
    assert isinstance(error, TimeoutError)
    assert error.type == TimeoutType.START_TO_CLOSE
    assert running.ends() == 0
    assert "the activity is over" in running.errors()


def test_attempt_that_an_operator_extends_runs_to_its_end(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    # The command outlasts the deadline that the task had.
    running = work(start_program, queue, "--max-tasks", "1", command="echo ready; sleep 5")
    handle = start_here(start_to_close_timeout=timedelta(seconds=3), retry_policy=RetryPolicy(maximum_attempts=1))
    running.line()
    timeouts = changed_timeouts(start_to_close_timeout=timedelta(minutes=1))
    request = UpdateActivityExecutionOptionsRequest(
        namespace=NAMESPACE, activity_id=handle.id, run_id=handle.run_id or "", **timeouts
    )
    sdk_worker.run(sdk_worker.client.workflow_service.update_activity_execution_options(request))
    assert result(sdk_worker, handle) == 0
    assert running.ends() == 0
    assert "deadline" not in running.errors(), "the server has another deadline"


def test_cancellation_reaches_the_command(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    running = work(start_program, queue, "--cancel-poll", "60s", command="echo ready; sleep 1000")
    handle = start_here(heartbeat_timeout=timedelta(minutes=1))
    running.line()
    requested = time.monotonic()
    sdk_worker.run(handle.cancel(reason="too expensive"))
    cancelled = failure(sdk_worker, handle)
    assert time.monotonic() - requested < 20, "a long poll shows it, long before the next heartbeat"
    assert isinstance(cancelled, CancelledError)
    assert list(cancelled.details) == [{"cancel_reason": "too expensive", "cancel_identity": None}]


# Counts to six. The first attempt stops at three and waits until the test kills it.
COUNT = (
    "for ((item = ${TEMPORAL_ACTIVITY_DETAILS_JSON:-0}; item < 6; )); do "
    'echo "doing $item in attempt $TEMPORAL_ACTIVITY_ATTEMPT"; echo $((++item)); '
    "((item == 3 && TEMPORAL_ACTIVITY_ATTEMPT == 1)) && sleep 1000; done; exit 0"
)


def test_killed_worker_loses_no_progress(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    arguments = ["work", "-t", queue, "--progress-pattern", r"^(\d+)$", "--", "bash", "-c", COUNT]
    handle = start_here(heartbeat_timeout=timedelta(seconds=2))
    first = start_program(*arguments)

    def details() -> list[int]:
        description = sdk_worker.run(handle.describe(include_heartbeat_details=True))
        values = sdk_worker.run(description.heartbeat_details())
        return list(values or [])

    wait_until(lambda: details() == [3], "the progress is recorded")
    first.kill()
    second = start_program(*arguments)
    assert second.line() == "doing 3 in attempt 2"
    assert result(sdk_worker, handle) == 0


def test_shutdown_stops_the_commands_and_loses_no_task(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    """One task runs, and one arrives after the shutdown began: another worker gets both at once, before any timeout."""
    first = work(start_program, queue, "-c", "2", command="echo ready; sleep 1000")
    running = start_here()
    first.line()
    first.kill(signal.SIGTERM)
    first.says("no more tasks are taken")
    late = start_here()
    first.says("a task is handed back: the worker is shutting down")
    began = time.monotonic()
    work(start_program, queue, "-c", "2", command="exit 0")
    assert result(sdk_worker, running) == 0
    assert result(sdk_worker, late) == 0
    assert time.monotonic() - began < 30  # start-to-close is a minute
    assert first.ends() == 0
    assert "the worker is shutting down" in first.errors()


def test_shutdown_grace_lets_commands_finish(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    script = "echo ready; sleep 1; exit 0"
    running = work(start_program, queue, "--max-tasks", "1", "--shutdown-grace", "1m", command=script)
    handle = start_here(retry_policy=RetryPolicy(maximum_attempts=1))
    running.line()
    running.kill(signal.SIGTERM)
    assert result(sdk_worker, handle) == 0
    assert running.ends() == 0


def test_activity_of_a_workflow_runs_next_to_its_workflow_worker(
    sdk_worker: SdkWorker, queue: str, start_program: StartProgram
) -> None:
    script = 'echo "$TEMPORAL_ACTIVITY_TYPE $TEMPORAL_ACTIVITY_WORKFLOW_ID $TEMPORAL_ACTIVITY_WORKFLOW_TYPE"'
    work(start_program, queue, "--result", "output", command=script)

    async def run() -> Any:
        async with Worker(
            sdk_worker.client,
            task_queue=queue,
            workflows=[OneActivity],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ):
            return await sdk_worker.client.execute_workflow(
                OneActivity.run, args=["a", ActivityOptions()], id=queue, task_queue=queue
            )

    assert sdk_worker.run(run(), timeout=60) == f"{ACTIVITY_TYPE} {queue} OneActivity"


def test_worker_of_a_deployment_polls_as_its_version(
    queue: str, start_program: StartProgram, sdk_worker: SdkWorker
) -> None:
    deployment = ("--deployment-name", "reports", "--build-id", queue)
    running = work(start_program, queue, *deployment, command="exit 0")

    def is_known() -> bool:
        request = DescribeWorkerDeploymentVersionRequest(
            namespace="default",
            deployment_version=WorkerDeploymentVersion(deployment_name="reports", build_id=queue),
        )
        try:
            answer = sdk_worker.run(sdk_worker.client.workflow_service.describe_worker_deployment_version(request))
        except RPCError:
            return False
        return queue in {known.name for known in answer.version_task_queues}

    wait_until(is_known, "the server knows the version")
    assert running.process.poll() is None


def test_command_line_refused_by_the_server_exits_at_once(queue: str, start_program: StartProgram) -> None:
    running = work(start_program, "x" * 2000, command="exit 0")
    assert running.ends() == INVALID_ARGUMENT
    assert "length exceeds limit" in running.errors()
    assert start_program("work", "-t", queue, "--build-id", "x", "--", "true").ends() == USAGE


@pytest.mark.parametrize(
    ("name", "code", "why"),
    [
        ("no-such-command", 127, "there is no such program on the PATH"),
        ("{folder}/missing", 127, "there is no such file"),
        ("{folder}/text", 126, "it isn't a file that may be executed"),
    ],
)
def test_command_that_cannot_run_ends_the_worker_before_it_polls(
    name: str, code: int, why: str, queue: str, start_program: StartProgram, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("hello")
    name = name.format(folder=tmp_path)
    # It doesn't even connect.
    running = start_program("work", "-t", queue, "--", name, variables={"TEMPORAL_ADDRESS": "127.0.0.1:1"})
    assert running.ends() == code
    assert f"can't run {name}: {why}" in running.errors()


def test_command_that_is_removed_later_fails_the_attempt_and_the_worker_continues(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    running = start_program("work", "-t", queue, "--", str(script))
    running.says("waiting for tasks")
    script.unlink()
    for _ in range(2):
        error = failure(sdk_worker, start_here(retry_policy=RetryPolicy(maximum_attempts=1)))
        assert isinstance(error, ApplicationError)
        assert error.type == "CommandNotFound"
    assert running.process.poll() is None


# ---- what the worker prints ----


def test_worker_prints_its_source_and_the_end_of_each_task(
    server: Server, sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    running = work(start_program, queue, "--max-tasks", "2", command="test $TEMPORAL_ACTIVITY_ATTEMPT = 2")
    running.says(f"waiting for tasks on the task queue {queue} (namespace {NAMESPACE}, server {server.address})\n")
    handle = start_here(heartbeat_timeout=timedelta(seconds=30))
    assert result(sdk_worker, handle) == 0
    assert running.ends() == 0
    _, first, second = running.errors().splitlines()
    began = f"temporal-heartbeat: report {handle.id}, attempt "
    time = r", after [\d.]+m?s: reported as "
    assert re.fullmatch(f"{began}1{time}failed with ExitCode: sh exited with code 1", first)
    assert re.fullmatch(f"{began}2{time}completed with the exit code 0 as its result", second)
    assert running.rest() == b""


def test_quiet_worker_prints_nothing(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    running = work(start_program, queue, "--quiet", "--max-tasks", "1", command="exit 0")
    assert result(sdk_worker, start_here()) == 0
    assert running.ends() == 0
    assert running.errors() == ""


def test_lines_of_concurrent_commands_get_the_name_of_the_activity(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    script = r"printf 'one\n50%%\r100%%\rtwo\n'; echo three >&2; printf end"
    flags = ["-c", "2", "--max-tasks", "2", "--result", "output"]
    running = work(start_program, queue, *flags, "--prefix", "always", command=script)
    handles = [start_here() for _ in range(2)]
    # The result has the output without the prefix.
    assert [result(sdk_worker, handle) for handle in handles] == ["one\n50%\r100%\rtwo\nend"] * 2
    assert running.ends() == 0
    output = running.rest().decode().splitlines()
    for handle in handles:
        name = f"{handle.id[:9]}…{handle.id[-10:]}"
        assert [line for line in output if line.startswith(name)] == [f"{name} | {x}" for x in ("one", "two", "end")]
        assert f"{name} | three\n" in running.errors()
    assert len(output) == 6


@pytest.mark.parametrize(("concurrency", "prefix"), [(1, ""), (2, "{id} | ")])
def test_terminal_shows_the_name_of_the_activity_if_several_run_at_once(
    concurrency: int,
    prefix: str,
    sdk_worker: SdkWorker,
    queue: str,
    start_here: StartOnQueue,
    start_program: StartProgram,
) -> None:
    ours, theirs = pty.openpty()
    flags = ["-t", queue, "-c", str(concurrency), "--max-tasks", "1"]
    command = ["sh", "-c", "echo one; echo two >&2"]
    running = start_program("work", *flags, "--", *command, terminal=theirs, variables={"NO_COLOR": "1"})
    handle = start_here()
    assert result(sdk_worker, handle) == 0
    assert running.ends() == 0
    said = os.read(ours, 65536).decode().splitlines()
    os.close(theirs)
    os.close(ours)
    prefix = prefix.format(id=f"{handle.id[:9]}…{handle.id[-10:]}")
    assert {f"{prefix}one", f"{prefix}two"} <= set(said)


def test_output_that_is_not_for_a_terminal_gets_no_prefix(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    running = work(start_program, queue, "-c", "2", "--max-tasks", "1", command="echo one; echo two >&2")
    assert result(sdk_worker, start_here()) == 0
    assert running.ends() == 0
    assert running.rest() == b"one\n"
    assert "\ntwo\n" in running.errors()


def test_failed_polls_are_reported_once_until_they_work_again(
    server: Server, sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    with Proxy(server.port) as up:
        variables = {"TEMPORAL_ADDRESS": up.address}
        running = start_program("work", "-t", queue, "-c", "4", "--", "true", variables=variables)
        running.says("waiting for tasks")
        wait_for_polls(server, queue)
    running.says("polling failed and is retried: ")
    with Proxy(server.port, up.port):
        assert result(sdk_worker, start_here(heartbeat_timeout=timedelta(seconds=30))) == 0
        running.says("polling works again")
        assert running.errors().count("polling failed") == 1


# ---- the end of an idle worker ----


@pytest.fixture(scope="module")
def releasing() -> Iterator[Server]:
    """A server that completes the polls of a worker that shuts down."""
    with dev_server("--dynamic-config-value", "frontend.enableCancelWorkerPollsOnShutdown=true") as server:
        yield server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_worker_ends_at_once_if_the_server_releases_its_polls(
    number: signal.Signals, releasing: Server, queue: str, start_program: StartProgram
) -> None:
    running = start_program(
        "work", "-t", queue, "-c", "3", "--", "true", variables={"TEMPORAL_ADDRESS": releasing.address}
    )
    running.says("waiting for tasks")
    wait_for_polls(releasing, queue)
    began = time.monotonic()
    running.kill(number)
    assert running.ends() == 0
    # Without the release, a poll takes about 19 s.
    assert time.monotonic() - began < 8
    assert running.errors().endswith("shutting down: no more tasks are taken\n")


def test_idle_worker_says_how_long_it_waits_for_its_polls(
    server: Server, queue: str, start_program: StartProgram
) -> None:
    running = work(start_program, queue, "-c", "2", command="true")
    wait_for_polls(server, queue)
    running.kill(signal.SIGTERM)
    running.says("waiting up to 20s for the end of 1 poll: this server can't end a poll earlier")


def wait_for_polls(server: Server, queue: str) -> None:
    """Waits until the server knows a poller of the task queue."""
    describe = [str(find_program()), "task-queue", "describe", "--address", server.address, "-t", queue, "-o", "json"]

    def is_polled() -> bool:
        done = subprocess.run(describe, capture_output=True, text=True, check=True)
        return bool(json.loads(done.stdout)["pollers"])

    wait_until(is_polled, "the worker polls")


def test_worker_that_adopts_processes_reaps_them_and_not_its_commands(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram, tmp_path: Path
) -> None:
    directory = f"{tmp_path}/$TEMPORAL_ACTIVITY_ID"
    command = ["bash", "-c", f'mkdir "{directory}"; exec bash -c "$0" "{directory}"', ORPHANS]
    flags = ["-t", queue, "-c", "4", "--max-tasks", "8", "--success-codes", "3"]
    running = start_program("work", *flags, "--", *command, launcher=SUBREAPER)
    handles = [start_here() for _ in range(8)]
    assert [result(sdk_worker, handle) for handle in handles] == [3] * 8
    assert running.ends() == 0


HIDDEN = encode(Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=b'{"month":7}')])).payloads[0]


def test_task_is_kept_alive_until_the_codec_server_decodes_its_input(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram, tmp_path: Path
) -> None:
    with ScriptedCodec() as codec:
        codec.script("", status(500))
        timeout = timedelta(seconds=2)
        handle = start_here(RawValue(HIDDEN), heartbeat_timeout=timeout)
        flags = ["--codec-endpoint", codec.endpoint, "--result", "none"]
        script = f'cat >{tmp_path}/input; echo "$TEMPORAL_ACTIVITY_ATTEMPT" >{tmp_path}/attempt'
        work(start_program, queue, *flags, command=script)

        def is_alive_after_its_timeout() -> bool:
            now = sdk_worker.run(handle.describe())
            beat, start = now.last_heartbeat_time, now.last_started_time
            return beat is not None and start is not None and beat - start > timeout

        wait_until(is_alive_after_its_timeout, "a heartbeat after the first heartbeat timeout")
        codec.heal()
        assert result(sdk_worker, handle) is None
    assert (tmp_path / "input").read_text() == '{"month":7}\n'
    assert (tmp_path / "attempt").read_text() == "1\n"


def test_task_with_an_input_that_can_not_be_decoded_is_handed_back(
    sdk_worker: SdkWorker, queue: str, start_here: StartOnQueue, start_program: StartProgram
) -> None:
    with ScriptedCodec() as codec:
        codec.script("", body(b"garbage"))
        handle = start_here(RawValue(HIDDEN))
        flags = ["--codec-endpoint", codec.endpoint, "--result", "none"]
        running = work(start_program, queue, *flags, command="cat >/dev/null")
        codec.wait_for("", 1)
        wait_until(lambda: sdk_worker.run(handle.describe()).attempt > 1, "the next attempt")
        codec.heal()
        assert result(sdk_worker, handle) is None
        assert "a task is handed back: the codec server" in running.errors()
