"""The codec server in Go and its worker, which encrypted scenarios use."""

import json
import urllib.error
import urllib.request

import pytest
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.workflowservice.v1 import RespondActivityTaskCompletedRequest, RespondActivityTaskFailedRequest

from harness.activities import Kind
from harness.codec_server import ENCODING, CodecServer, Request
from harness.polling import wait_until
from harness.server import NAMESPACE
from harness.worker import SdkWorker

ENCODE, DECODE = "/encode", "/decode"


def ask(codec_server: CodecServer, path: str, payloads: Payloads, namespace: str = NAMESPACE) -> Payloads:
    """Makes a request of the protocol of codec servers."""
    request = urllib.request.Request(
        codec_server.endpoint + path,
        json_format.MessageToJson(payloads).encode(),
        {"Content-Type": "application/json", "X-Namespace": namespace},
    )
    with urllib.request.urlopen(request) as answer:
        return json_format.Parse(answer.read(), Payloads())


def values(*values: object) -> Payloads:
    return Payloads(
        payloads=[Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(v).encode()) for v in values]
    )


def test_codec_server_encrypts_with_the_key_of_the_namespace(codec_server: CodecServer) -> None:
    encoded = ask(codec_server, ENCODE, values("planted", 41))
    assert [payload.metadata["encoding"].decode() for payload in encoded.payloads] == [ENCODING, ENCODING]
    assert [payload.metadata["encryption-key-id"] for payload in encoded.payloads] == [b"namespace:default"] * 2
    assert b"planted" not in encoded.SerializeToString()
    assert ask(codec_server, DECODE, encoded) == values("planted", 41)

    def decoding() -> list[Request]:
        return [request for request in codec_server.requests if request.path == DECODE]

    # The server prints the request, and another thread reads that.
    wait_until(lambda: bool(decoding()), "the request is shown")
    assert decoding()[-1].headers["X-Namespace"] == [NAMESPACE]


def test_codec_server_refuses_requests_without_a_namespace(codec_server: CodecServer) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        ask(codec_server, ENCODE, values(1), namespace="")


def test_worker_decrypts_what_the_codec_server_encrypted(
    codec_server: CodecServer, kind: Kind, sdk_worker: SdkWorker
) -> None:
    activity = codec_server.start(kind, {"planted": 1})
    first = activity.next_attempt()
    assert first.input == {"planted": 1}
    service = sdk_worker.client.workflow_service

    details = ask(codec_server, ENCODE, values("details"))
    failure = Failure(message="once more", application_failure_info=ApplicationFailureInfo())
    failing = RespondActivityTaskFailedRequest(
        task_token=first.token, namespace=NAMESPACE, failure=failure, last_heartbeat_details=details
    )
    sdk_worker.run(service.respond_activity_task_failed(failing))
    second = activity.next_attempt()
    assert (second.number, second.details) == (2, ["details"])

    result = ask(codec_server, ENCODE, values(42))
    completing = RespondActivityTaskCompletedRequest(task_token=second.token, namespace=NAMESPACE, result=result)
    sdk_worker.run(service.respond_activity_task_completed(completing))
    assert activity.outcome().result == 42


def test_worker_decrypts_a_failure_with_encoded_attributes(
    codec_server: CodecServer, kind: Kind, sdk_worker: SdkWorker
) -> None:
    activity = codec_server.start(kind)
    [attributes] = ask(codec_server, ENCODE, values({"message": "planted", "stack_trace": "frames"})).payloads
    info = ApplicationFailureInfo(type="T", non_retryable=True, details=ask(codec_server, ENCODE, values(41)))
    failure = Failure(message="Encoded failure", encoded_attributes=attributes, application_failure_info=info)
    request = RespondActivityTaskFailedRequest(
        task_token=activity.next_attempt().token, namespace=NAMESPACE, failure=failure
    )
    sdk_worker.run(sdk_worker.client.workflow_service.respond_activity_task_failed(request))
    seen = activity.outcome().failure
    assert seen
    assert (seen["message"], seen["type"], seen["details"]) == ("planted", "T", 41)
