"""The parent's side of the hand-off, and its environment on the child's side."""

from __future__ import annotations

import base64
import dataclasses
import os
import stat
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from support import BlackHole
from temporalio import converter
from temporalio.activity import Info
from temporalio.testing import ActivityEnvironment

import temporal_heartbeat as thb
from temporal_heartbeat import Activity, handoff

PREFIX = "TEMPORAL_ACTIVITY_"
NOW = datetime.now(timezone.utc)
HOUR_MS = 3_600_000


def info(**fields: Any) -> Info:
    now = datetime.now(timezone.utc)
    fields = {
        "task_token": bytes(range(256)),
        "started_time": now,
        "scheduled_time": now,
        "heartbeat_timeout": timedelta(seconds=30),
        "start_to_close_timeout": None,
        "schedule_to_close_timeout": None,
        **fields,
    }
    return dataclasses.replace(ActivityEnvironment.default_info(), **fields)


def open_from(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> Activity:
    """Opens an activity from these variables, as a child does."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Activity.from_env(close_timeout=0)


def test_the_child_reads_the_environment_of_the_parent(
    connected: BlackHole, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = info(
        heartbeat_timeout=timedelta(seconds=7),
        heartbeat_details=[{"item": 41}, None, b"state"],
        start_to_close_timeout=timedelta(minutes=5),
    )
    with open_from(monkeypatch, handoff.environment(given, base={})) as act:
        assert list(act.details()) == [{"item": 41}, None, b"state"]
        assert act.info["heartbeat_timeout_ms"] == 7_000
        assert thb.token_from_env() == given.task_token
        assert act.signals == thb.Signals(0)


def test_empty_details_are_handed_over_as_empty(
    connected: BlackHole, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = handoff.environment(info(heartbeat_details=[]), base={})
    assert variables["TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS"] == ""
    with open_from(monkeypatch, variables) as act:
        assert act.details(default="nothing") == "nothing"


def test_options_have_precedence_over_variables(
    connected: BlackHole, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in handoff.environment(info(heartbeat_details=[1]), base={}).items():
        monkeypatch.setenv(name, value)
    with Activity.from_env(close_timeout=0, heartbeat_timeout=9, initial_details=[2]) as act:
        assert act.info["heartbeat_timeout_ms"] == 9_000
        assert act.details(default=None) == 2


def test_a_missing_token_names_its_variable(
    connected: BlackHole, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(thb.ConfigError, match="TEMPORAL_ACTIVITY_TASK_TOKEN"):
        Activity.from_env()
    monkeypatch.setenv("TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS", "soon")
    with pytest.raises(thb.ConfigError, match="TEMPORAL_ACTIVITY"):
        Activity.from_env()


def test_all_ids_of_the_activity_are_handed_over() -> None:
    given = info(
        workflow_id="w",
        workflow_run_id="r",
        activity_id="a",
        attempt=3,
        activity_type="solve",
        workflow_type="Model",
        task_queue="solvers",
    )
    variables = handoff.environment(given, address="temporal.example:7233", base={})
    assert variables == {
        "TEMPORAL_ADDRESS": "temporal.example:7233",
        "TEMPORAL_NAMESPACE": given.namespace,
        "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(given.task_token).decode(),
        "TEMPORAL_ACTIVITY_WORKFLOW_ID": "w",
        "TEMPORAL_ACTIVITY_RUN_ID": "r",
        "TEMPORAL_ACTIVITY_ID": "a",
        "TEMPORAL_ACTIVITY_ATTEMPT": "3",
        "TEMPORAL_ACTIVITY_TYPE": "solve",
        "TEMPORAL_ACTIVITY_WORKFLOW_TYPE": "Model",
        "TEMPORAL_ACTIVITY_TASK_QUEUE": "solvers",
        "TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS": "30000",
        "TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS": "",
    }


def test_a_standalone_activity_has_no_workflow_id() -> None:
    given = info(workflow_id=None, workflow_run_id=None, activity_run_id="r")
    variables = handoff.environment(given, base={})
    assert "TEMPORAL_ACTIVITY_WORKFLOW_ID" not in variables
    assert variables["TEMPORAL_ACTIVITY_RUN_ID"] == "r"


# Effects of the server's clock, or of a wait for a worker, on an attempt that starts now.
CLOCKS = {
    "same clock": {},
    "parent an hour ahead": {"started_time": NOW - timedelta(hours=1)},
    "parent an hour behind": {"started_time": NOW + timedelta(hours=1)},
    "waited for a worker": {
        "scheduled_time": NOW - timedelta(hours=1),
        "current_attempt_scheduled_time": NOW - timedelta(seconds=7),
        "schedule_to_close_timeout": timedelta(hours=2),
    },
}


@pytest.mark.parametrize("fields", CLOCKS.values(), ids=CLOCKS)
def test_the_servers_clock_changes_no_variable(fields: dict[str, Any]) -> None:
    given = info(start_to_close_timeout=timedelta(hours=10), **fields)
    variables = handoff.environment(given, base={})
    assert PREFIX + "AGE_MS" not in variables
    assert variables[PREFIX + "DEADLINE_MS"] == str(10 * HOUR_MS)
    measured = handoff.environment(given, age=timedelta(hours=3), base={})
    assert measured[PREFIX + "AGE_MS"] == str(3 * HOUR_MS)
    assert measured[PREFIX + "DEADLINE_MS"] == str(7 * HOUR_MS)


def test_out_of_range_times_are_limited_left_out_or_refused() -> None:
    given = info(start_to_close_timeout=timedelta(seconds=2))
    assert handoff.environment(given, age=2.5, base={})[PREFIX + "DEADLINE_MS"] == "0"
    long = info(start_to_close_timeout=timedelta(days=50))
    assert PREFIX + "DEADLINE_MS" not in handoff.environment(long, base={})
    assert PREFIX + "AGE_MS" not in handoff.environment(given, age=timedelta(days=50), base={})
    with pytest.raises(ValueError, match="age"):
        handoff.environment(given, age=-1)


def test_schedule_to_close_timeout_alone_makes_no_deadline() -> None:
    variables = handoff.environment(info(schedule_to_close_timeout=timedelta(hours=1)), base={})
    assert PREFIX + "DEADLINE_MS" not in variables


def test_require_encoded_is_handed_over() -> None:
    assert "TEMPORAL_ACTIVITY_REQUIRE_ENCODED" not in handoff.environment(info(), base={})
    required = handoff.environment(info(), base={}, require_encoded=True)
    assert required["TEMPORAL_ACTIVITY_REQUIRE_ENCODED"] == "true"


def test_other_variables_are_kept_except_those_of_another_hand_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/here")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "inherited:7233")
    monkeypatch.setenv("TEMPORAL_ACTIVITY_TASK_TOKEN_FILE", "/stale")
    variables = handoff.environment(info())
    assert variables["HOME"] == "/here"
    assert variables["TEMPORAL_ADDRESS"] == "inherited:7233"
    assert "TEMPORAL_ACTIVITY_TASK_TOKEN_FILE" not in variables
    assert variables.keys() >= os.environ.keys() - {"TEMPORAL_ACTIVITY_TASK_TOKEN_FILE"}


def test_details_too_long_for_a_variable_are_left_out() -> None:
    assert PREFIX + "HEARTBEAT_DETAILS" in handoff.environment(
        info(heartbeat_details=["x" * 70_000])
    )
    variables = handoff.environment(info(heartbeat_details=["x" * 100_000]))
    assert PREFIX + "HEARTBEAT_DETAILS" not in variables
    subprocess.run([sys.executable, "-c", ""], env=variables, check=True)


def secret(value: Any) -> Any:
    """A payload as a codec of the SDK encodes it."""
    payload = converter.PayloadConverter.default.to_payload(value)
    payload.metadata["encoding"] = b"binary/encrypted"
    payload.data = payload.data[::-1]
    return payload


def test_plain_details_are_refused_with_require_encoded() -> None:
    for readable in ([41], ["text"], [b"bytes"], [secret(1), {"a": 1}]):
        with pytest.raises(ValueError, match="plain encoding"):
            handoff.environment(info(heartbeat_details=readable), require_encoded=True)
    handoff.environment(info(heartbeat_details=[]), require_encoded=True)


def test_encoded_details_are_handed_over_unchanged(
    connected: BlackHole, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = info(heartbeat_details=["decoded by the SDK"])
    sent = [secret("text"), secret(2)]
    variables = handoff.environment(given, details=sent, require_encoded=True, base={})
    again = base64.b64decode(variables[PREFIX + "HEARTBEAT_DETAILS"])
    assert handoff.environment(given, details=again, require_encoded=True, base={}) == variables
    with open_from(monkeypatch, variables) as act:
        payloads = act.details().payloads
    assert [(p.data, dict(p.metadata)) for p in payloads] == [
        (p.data, dict(p.metadata)) for p in sent
    ]


def test_a_token_file_is_readable_only_by_this_user(
    connected: BlackHole, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("of the attempt before")
    path = handoff.token_in_file(info(), tmp_path / "token")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.listdir(tmp_path) == ["token"]
    variables = handoff.environment(info(), token_file=path, base={})
    assert PREFIX + "TASK_TOKEN" not in variables
    with open_from(monkeypatch, variables):
        assert thb.token_from_env() == info().task_token


def test_a_token_in_a_pipe_is_not_in_the_environment(library_path: Path) -> None:
    program = (
        "import temporal_heartbeat as t, sys; sys.stdout.buffer.write(t.token_from_env());"
        "import os; sys.exit('TEMPORAL_ACTIVITY_TASK_TOKEN' in os.environ)"
    )
    with handoff.token_in_pipe(info()) as fd:
        taken = subprocess.run(
            [sys.executable, "-c", program],
            env={
                **handoff.environment(info(), token_fd=fd),
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            pass_fds=[fd],
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    assert taken == info().task_token
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_token_in_two_places_is_refused() -> None:
    with pytest.raises(ValueError, match="not both"):
        handoff.environment(info(), token_file="/x", token_fd=3)


def test_missing_heartbeat_timeout_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="no heartbeat timeout"):
        handoff.environment(info(heartbeat_timeout=None))


def test_a_hand_off_does_not_load_the_native_library() -> None:
    program = (
        "import types, temporal_heartbeat.handoff as h, temporal_heartbeat._library as l;"
        "info = types.SimpleNamespace(workflow_id='w', workflow_run_id='r', activity_id='a',"
        " attempt=1, heartbeat_timeout=None, heartbeat_details=[41], task_token=b't',"
        " namespace='n', start_to_close_timeout=None);"
        "print(h.environment(info)['TEMPORAL_ACTIVITY_TASK_TOKEN']);"
        "print(l.library.cache_info().currsize)"
    )
    environment = {
        **os.environ,
        "TEMPORAL_HEARTBEAT_LIBRARY": "/missing",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert printed.stdout == "dA==\n0\n"
