"""The effects of the end of a worker on running work: each cell of the table in docs/guide/restarts.md."""

import re
import uuid
from pathlib import Path

import pytest

from harness.program import environment, program
from harness.restarts import (
    COLUMNS,
    COMMAND,
    PAGE,
    ROWS,
    WAYS_OF_SDK_WORKER,
    Work,
    check_outcomes,
    supervisor,
    table,
    worker_command,
    worker_variables,
)
from harness.server import Server
from harness.service import Service
from harness.worker import SdkWorker


@pytest.fixture
def queue() -> str:
    return f"restarts-{uuid.uuid4()}"


@pytest.mark.parametrize("event", COLUMNS)
def test_worker_of_the_sdk_ends(event: str, server: Server, sdk_worker: SdkWorker, queue: str, tmp_path: Path) -> None:
    command, variables = worker_command(server, queue, tmp_path), worker_variables(server, program())
    with Service(command, variables, in_container=event == "container") as service:
        works = [Work(sdk_worker, queue, way, tmp_path) for way in WAYS_OF_SDK_WORKER]
        with supervisor(tmp_path):
            check_outcomes([event], works, lambda: service.end(event))


@pytest.mark.parametrize("event", COLUMNS)
def test_work_ends(event: str, server: Server, sdk_worker: SdkWorker, queue: str, tmp_path: Path) -> None:
    command = [str(program()), "work", "-t", queue, "--progress-json", "--", *COMMAND, str(tmp_path), "work"]
    with Service(command, environment(server.address), in_container=event == "container") as service:
        works = [Work(sdk_worker, queue, "work", tmp_path)]
        check_outcomes([event], works, lambda: service.end(event))


def test_each_row_of_the_page_names_its_test() -> None:
    rows = table()
    assert set(ROWS.values()) <= set(rows)
    for row, cells in rows.items():
        named = re.findall(r"\[`(\w+)`\]\(([^)]+)\)", cells["test"])
        assert named, row
        for test, path in named:
            assert f"def {test}(" in (PAGE.parent / path).read_text(), test
