"""The options of a codec server, which the library calls, and a codec of this process beside it."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from support import Recorder
from test_codec import Reversing
from test_context import task_token

import temporal_heartbeat as thb
from temporal_heartbeat import Payload, aio

SECRET = "readable by anybody"


class CodecServer(ThreadingHTTPServer):
    """Reverses the bytes of each payload."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.endpoint = f"http://127.0.0.1:{self.server_port}/{{namespace}}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, CodecServer)
        self.server.requests.append(
            (self.path, {key.lower(): v for key, v in self.headers.items()})
        )
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        payloads = [read(payload) for payload in request["payloads"]]
        convert = Reversing().encode if self.path.endswith("/encode") else Reversing().decode
        body = json.dumps({"payloads": [written(one) for one in convert(payloads)]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Prints nothing."""


def read(payload: dict[str, Any]) -> Payload:
    metadata = {key: b64decode(text) for key, text in payload["metadata"].items()}
    return Payload(b64decode(payload.get("data", "")), metadata)


def written(payload: Payload) -> dict[str, Any]:
    metadata = {key: b64encode(value).decode() for key, value in payload.metadata.items()}
    return {"metadata": metadata, "data": b64encode(payload.data).decode()}


@pytest.fixture
def codec_server() -> Iterator[CodecServer]:
    with CodecServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_codec_server_encodes_what_is_sent(recorder: Recorder, codec_server: CodecServer) -> None:
    thb.connect(
        recorder.address,
        namespace="ns",
        compression="none",
        codec_endpoint=codec_server.endpoint,
        codec_auth="Bearer one",
        codec_headers={"x-team": "blue"},
        codec_tls={},
        encode_common_attributes=True,
        require_encoded=True,
    )
    thb.heartbeat(task_token(), SECRET)
    path, headers = codec_server.requests[-1]
    assert path == "/ns/encode"
    assert headers["x-namespace"] == "ns"
    assert (headers["authorization"], headers["x-team"]) == ("Bearer one", "blue")
    thb.reconfigure(codec_auth="Bearer two", codec_headers={"x-team": "red"})
    thb.fail(task_token(), SECRET, details=[SECRET], stack_trace=SECRET)
    _, headers = codec_server.requests[-1]
    assert (headers["authorization"], headers["x-team"]) == ("Bearer two", "red")
    assert b"Encoded failure" in recorder.received
    assert SECRET.encode() not in recorder.received


@pytest.mark.parametrize("activity", [thb.Activity, aio.Activity])
def test_a_codec_server_decodes_what_is_read(
    recorder: Recorder, codec_server: CodecServer, monkeypatch: pytest.MonkeyPatch, activity: Any
) -> None:
    monkeypatch.setenv("TEMPORAL_CODEC_ENDPOINT", codec_server.endpoint)
    thb.connect(recorder.address, namespace="ns")
    details = encode(SECRET)
    act = activity(task_token(), initial_details=details, heartbeat_timeout=30, close_timeout=0)
    try:
        read_details = act.details()
        if activity is aio.Activity:
            read_details = asyncio.run(read_details)
        assert list(read_details) == [SECRET]
        assert [payload.encoding for payload in read_details.payloads] == ["json/plain"]
    finally:
        act._close_at_once()


class Strict(Reversing):
    """Decodes only what it has encoded, as many codecs do."""

    def decode(self, payloads: Any, /) -> list[Payload]:
        assert [payload.encoding for payload in payloads] == ["binary/reversed"] * len(payloads)
        return super().decode(payloads)


def test_a_codec_of_this_process_reads_what_the_server_holds(
    recorder: Recorder, codec_server: CodecServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_CODEC_ENDPOINT", codec_server.endpoint)
    thb.connect(recorder.address, namespace="ns", compression="none", data_converter=Strict())
    thb.heartbeat(task_token(), SECRET)
    assert not codec_server.requests, "the values are encoded already"
    with thb.Activity(
        task_token(), initial_details=[SECRET], heartbeat_timeout=30, close_timeout=0
    ) as act:
        assert list(act.details()) == [SECRET]
    assert SECRET.encode() not in recorder.received


def encode(value: Any) -> list[Payload]:
    plain = Payload(json.dumps(value).encode(), {"encoding": b"json/plain"})
    return Reversing().encode([plain])


def test_a_codec_of_this_process_turns_off_the_codec_server_of_the_environment(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing listens there.
    monkeypatch.setenv("TEMPORAL_CODEC_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("TEMPORAL_CODEC_AUTH", "Bearer one")
    thb.connect(recorder.address, namespace="ns", data_converter=Reversing())
    with thb.Activity(
        task_token(), initial_details=[SECRET], heartbeat_timeout=30, close_timeout=0
    ) as activity:
        assert list(activity.details()) == [SECRET]
