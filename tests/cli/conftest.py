"""Fixtures for the command-line program, and for attempts that a parent hands over to `exec`."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import ActivityHandle
from temporalio.common import RetryPolicy

from harness.fixtures import NO_INHERITED, NO_LAUNCHER, NO_VARIABLES, StartOnQueue
from harness.program import Exec, Program, StartProgram, encoded, environment, program
from harness.server import Server
from harness.worker import Attempt, SdkWorker


@pytest.fixture
def start_program(server: Server) -> Iterator[StartProgram]:
    program()
    started: list[Program] = []

    def start(
        *arguments: str,
        variables: Mapping[str, str] = NO_VARIABLES,
        stdin: bytes | None = None,
        inherit: Sequence[int] = NO_INHERITED,
        terminal: int | None = None,
        launcher: Sequence[str] = NO_LAUNCHER,
    ) -> Program:
        given = environment(server.address) | dict(variables)
        running = Program(arguments, given, stdin, inherit, terminal, launcher)
        started.append(running)
        return running

    yield start
    for running in started:
        running.close()


@pytest.fixture
def execute(start_program: StartProgram) -> Exec:
    def execute(
        attempt: Attempt,
        *flags: str,
        command: str | Sequence[str],
        variables: Mapping[str, str] = NO_VARIABLES,
        stdin: bytes | None = None,
        terminal: int | None = None,
        launcher: Sequence[str] = NO_LAUNCHER,
    ) -> Program:
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        token = {"TEMPORAL_ACTIVITY_TASK_TOKEN": encoded(attempt.token)}
        return start_program(
            "exec",
            *flags,
            "--",
            *words,
            variables=token | dict(variables),
            stdin=stdin,
            terminal=terminal,
            launcher=launcher,
        )

    return execute


@pytest.fixture
def queue() -> str:
    return f"work-{uuid.uuid4()}"


@pytest.fixture
def start_here(sdk_worker: SdkWorker, queue: str) -> StartOnQueue:
    """Starts a standalone activity on the queue."""

    def start(*arguments: Any, type: str = "report", **options: Any) -> ActivityHandle[Any]:
        interval = timedelta(milliseconds=100)
        defaults: dict[str, Any] = {
            "start_to_close_timeout": timedelta(minutes=1),
            "retry_policy": RetryPolicy(initial_interval=interval, maximum_interval=interval),
        }
        name = str(uuid.uuid4())
        return sdk_worker.run(
            sdk_worker.client.start_activity(
                type, args=list(arguments), id=name, task_queue=queue, **(defaults | options)
            )
        )

    return start
