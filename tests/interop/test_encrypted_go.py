"""A child in Go with a codec that derives its key from the workflow, and a worker of the SDK with the same codec."""

import base64
import functools
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.activities import Kind
from harness.build import run
from harness.codec_server import CodecServer, EncryptedAttempt
from harness.paths import BUILD
from harness.process import Process
from harness.requires import requires
from harness.server import NAMESPACE, Server
from harness.worker import ANSWER_LIMIT_S, SdkWorker
from interop import programs
from interop.stored_values import assert_encrypted, described, scheduled_input

PLANTED = "planted by the test"


@functools.cache
def program() -> Path:
    go = requires(shutil.which("go"), "go")
    built = BUILD / "encryptedchild_go"
    run([go, "-C", str(programs.PEERS / "go"), "build", "-o", str(built), "./encryptedchild"])
    return built


@pytest.fixture(params=["codec", "converter", "server"])
def way(request: pytest.FixtureRequest) -> str:
    """Runs the test with a codec, with a whole converter of the SDK, and with the codec server."""
    program()  # built before an attempt starts
    chosen: str = request.param
    return chosen


class Child:
    def __init__(self, process: Process) -> None:
        self._process = process

    def ask(self, *words: str) -> Any:
        answer = self._answer(*words)
        assert "error" not in answer, answer
        return answer["seen"]

    def error(self, *words: str) -> str:
        """Returns the error of a request that fails."""
        return str(self._answer(*words)["error"])

    def _answer(self, *words: str) -> Any:
        self._process.write_line(json.dumps(words))
        return json.loads(self._process.read_line())


@contextmanager
def child_of(
    attempt: EncryptedAttempt, way: str, server: Server, codec_server: CodecServer, *handed_over: tuple[str, str]
) -> Iterator[Child]:
    variables = programs.environment() | {
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_NAMESPACE": NAMESPACE,
        "TEMPORAL_ACTIVITY_TASK_TOKEN": base64.b64encode(attempt.token).decode(),
        "TEMPORAL_ACTIVITY_ATTEMPT": str(attempt.number),
        **dict(handed_over),
    }
    with Process([str(program()), way, codec_server.endpoint], variables) as process:
        yield Child(process)


def key_of(id: str, way: str, kind: Kind) -> str:
    """Returns the id of the key. A codec server gets no serialization context."""
    return f"workflow:{id}" if kind == "workflow" and way != "server" else f"namespace:{NAMESPACE}"


def test_details_failures_and_results_cross_with_the_key_of_the_workflow(
    way: str, kind: Kind, codec_server: CodecServer, server: Server, sdk_worker: SdkWorker
) -> None:
    activity = codec_server.start(kind, PLANTED)
    key = key_of(activity.id, way, kind)
    first = activity.next_attempt()
    with child_of(first, way, server, codec_server) as child:
        child.ask("record", PLANTED)
        child.ask("fail", PLANTED, "once more")

    second = activity.next_attempt()
    assert (second.number, second.details) == (2, [PLANTED])
    details, failure = described(kind, activity.id, second.run_id, sdk_worker)
    assert_encrypted(details, key)
    for node in (failure, failure.cause):
        assert (node.message, node.stack_trace) == ("Encoded failure", "")
        assert_encrypted([node.encoded_attributes], key)
    assert_encrypted(failure.application_failure_info.details.payloads, key)
    assert PLANTED.encode() not in failure.SerializeToString()

    with child_of(second, way, server, codec_server) as child:
        assert child.ask("details") == PLANTED
        child.ask("complete", PLANTED)
    assert activity.outcome().result == PLANTED


def test_worker_reads_an_encoded_failure(way: str, kind: Kind, codec_server: CodecServer, server: Server) -> None:
    activity = codec_server.start(kind)
    with child_of(activity.next_attempt(), way, server, codec_server) as child:
        child.ask("fail", PLANTED, "for good")
    failure = activity.outcome().failure
    assert failure
    assert (failure["message"], failure["stack_trace"], failure["details"]) == (PLANTED, PLANTED, PLANTED)
    assert failure["cause"]["message"] == PLANTED


def test_details_that_the_parent_handed_over_readable_are_encrypted(
    way: str, kind: Kind, codec_server: CodecServer, server: Server, sdk_worker: SdkWorker
) -> None:
    activity = codec_server.start(kind, heartbeat_timeout_ms=4000)
    attempt = activity.next_attempt()
    payload = b'\n\x16\n\x08encoding\x12\njson/plain\x12\x15"' + PLANTED.encode() + b'"'
    details = base64.b64encode(b"\n" + bytes([len(payload)]) + payload).decode()
    with child_of(attempt, way, server, codec_server, ("TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS", details)) as child:
        assert child.ask("details") == PLANTED
        deadline = time.monotonic() + ANSWER_LIMIT_S
        while not (sent := described(kind, activity.id, attempt.run_id, sdk_worker)[0]):
            assert time.monotonic() < deadline, "no heartbeat was sent"
            time.sleep(0.1)  # the server has no event for a heartbeat
        assert_encrypted(sent, key_of(activity.id, way, kind))
        child.ask("complete", PLANTED)
    assert activity.outcome().result == PLANTED


def test_reference_to_an_external_storage_passes_unchanged(
    way: str, codec_server: CodecServer, server: Server, sdk_worker: SdkWorker
) -> None:
    large = PLANTED * 20_000
    activity = codec_server.start("workflow", large)
    first = activity.next_attempt()
    assert first.input == large
    reference = scheduled_input(activity.id, sdk_worker)
    assert reference.metadata["messageType"] == b"temporal.api.sdk.v1.ExternalStorageReference"
    with child_of(first, way, server, codec_server) as child:
        child.ask("record_payload", base64.b64encode(reference.SerializeToString()).decode())
        child.ask("fail", PLANTED, "once more")

    second = activity.next_attempt()
    assert second.details == [large]  # the SDK has the driver
    assert described("workflow", activity.id, second.run_id, sdk_worker)[0] == [reference]
    with child_of(second, way, server, codec_server) as child:
        assert "the value is in external storage" in child.error("details")
        child.ask("complete", PLANTED)
    assert activity.outcome().result == PLANTED
