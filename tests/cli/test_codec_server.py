"""The command-line program with a codec server, and with values that only a codec server can read."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.fixtures import StartActivity
from harness.program import Exec, StartProgram, encoded
from harness.scripted_codec import ENCODING, ScriptedCodec, status

INVALID_ARGUMENT, UNAVAILABLE = 65, 69


@pytest.fixture
def codec() -> Iterator[ScriptedCodec]:
    with ScriptedCodec() as server:
        yield server


def test_request_has_the_body_of_the_documentation(
    start: StartActivity, start_program: StartProgram, codec: ScriptedCodec
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "codecs.md").read_text()
    blocks = [block.split("```")[0] for block in page.split("```json\n")[1:]]
    [documented] = [block for block in blocks if '"payloads"' in block]
    token = {"TEMPORAL_ACTIVITY_TASK_TOKEN": encoded(start("workflow").next_attempt().token)}
    assert start_program("heartbeat", "--codec-endpoint", codec.endpoint, "41", variables=token).ends() == 0
    [request] = codec.requests("")
    assert json.loads(request.body) == json.loads(documented)


def test_heartbeat_without_a_value_needs_no_codec_server(
    start: StartActivity, start_program: StartProgram, codec: ScriptedCodec
) -> None:
    token = {"TEMPORAL_ACTIVITY_TASK_TOKEN": encoded(start("workflow").next_attempt().token)}
    variables = token | {"TEMPORAL_CODEC_ENDPOINT": codec.endpoint}
    assert start_program("heartbeat", "41", variables=variables).ends() == 0
    codec.script("", status(503))
    refused = start_program("heartbeat", "42", "--timeout", "1s", variables=variables)
    assert refused.ends() == UNAVAILABLE, refused.errors()
    repeated = start_program("heartbeat", variables=variables)
    assert repeated.ends() == 0, repeated.errors()
    stored = json.loads(start_program("details", "-o", "json", variables=token).rest())["values"]
    assert [value["encoding"] for value in stored] == [ENCODING.decode()]
    codec.heal()
    assert start_program("details", variables=variables).rest() == b"41\n"


def test_refusal_of_a_readable_value_names_the_flag(start: StartActivity, start_program: StartProgram) -> None:
    token = {"TEMPORAL_ACTIVITY_TASK_TOKEN": encoded(start("workflow").next_attempt().token)}
    running = start_program("heartbeat", "--require-encoded", "41", variables=token)
    assert running.ends() == INVALID_ARGUMENT
    assert running.errors().rstrip().endswith("encode it with your namespace's codec: give --codec-endpoint")


def test_exec_warns_of_progress_that_it_can_not_read(
    start: StartActivity, start_program: StartProgram, execute: Exec, codec: ScriptedCodec
) -> None:
    attempt = start("workflow").next_attempt()
    variables = {"TEMPORAL_ACTIVITY_TASK_TOKEN": encoded(attempt.token)}
    flag = ["--codec-endpoint", codec.endpoint]
    assert start_program("heartbeat", *flag, "41", variables=variables).ends() == 0
    show = 'echo "${TEMPORAL_ACTIVITY_DETAILS_JSON:-none}"'
    running = execute(attempt, "--result", "none", command=show)
    assert running.rest() == b"none\n"
    assert running.ends() == 0
    warning = f"has the encoding {ENCODING.decode()}, so TEMPORAL_ACTIVITY_DETAILS_JSON isn't set"
    assert warning in running.errors()


def test_exec_warns_once_of_an_outage_of_the_codec_server(
    start: StartActivity, execute: Exec, codec: ScriptedCodec, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    os.mkfifo(end)
    codec.script("lost", status(503))
    activity = start("workflow")
    value = json.dumps({"script": "lost"})
    flags = ["--codec-endpoint", codec.endpoint, "--progress-json", "--result", "none"]
    running = execute(activity.next_attempt(), *flags, command=f"echo '{value}'; cat {end}")
    warning = "values can't be encoded or decoded at the moment: the codec server"
    running.says(warning)
    codec.wait_for("lost", 3)
    codec.heal()
    end.write_text("")
    assert running.ends() == 0
    assert running.errors().count(warning) == 1
