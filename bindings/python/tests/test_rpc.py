"""The functions that take a token, with failing servers and invalid input."""

from __future__ import annotations

import base64
import os
import threading
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from support import BlackHole

import temporal_heartbeat as thb

TOKEN = b"token"

CALLS: dict[str, Callable[..., Any]] = {
    "heartbeat": lambda **given: thb.heartbeat(TOKEN, 1, **given),
    "get_details": lambda **given: thb.get_details(TOKEN, **given),
    "complete": lambda **given: thb.complete(TOKEN, **given),
    "fail": lambda **given: thb.fail(TOKEN, "broken", **given),
    "report_cancelled": lambda **given: thb.report_cancelled(TOKEN, **given),
}
# get_details parses the token, and refuses this one without a request.
SENDING = [name for name in CALLS if name != "get_details"]


@pytest.mark.parametrize("name", CALLS)
def test_a_call_before_connect_is_not_connected(disconnected: None, name: str) -> None:
    with pytest.raises(thb.NotConnectedError) as caught:
        CALLS[name]()
    assert caught.value.code is thb.Status.NOT_CONNECTED
    assert caught.value.grpc_code is None
    assert "connect" in str(caught.value)


def test_a_second_connect_is_refused(connected: BlackHole) -> None:
    with pytest.raises(thb.AlreadyConnectedError):
        thb.connect(address=connected.address, lazy=True)


def test_connect_works_again_after_disconnect(connected: BlackHole) -> None:
    thb.disconnect()
    thb.disconnect()
    thb.connect(address=connected.address, lazy=True)
    with pytest.raises(thb.AlreadyConnectedError):
        thb.connect(address=connected.address, lazy=True)


def test_a_closed_port_is_unavailable_with_the_cause(disconnected: None, closed_port: str) -> None:
    with pytest.raises(thb.UnavailableError, match="refused") as caught:
        thb.connect(address=closed_port, connect_timeout=0.2)
    assert closed_port in str(caught.value)
    assert caught.value.retryable
    with pytest.raises(thb.NotConnectedError):
        thb.heartbeat(TOKEN, 1)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"address": 7}, "address"),
        ({"address": "no port"}, "address"),
        ({"lazy": "yes"}, "lazy"),
        ({"connect_timeout": 0}, "connect_timeout_ms"),
        ({"tls": {"server_nam": "x"}}, "tls.server_nam"),
    ],
)
def test_an_invalid_option_is_named(
    disconnected: None, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(thb.ConfigError, match=named):
        thb.connect(**options)


@pytest.mark.parametrize("function", [thb.connect, thb.reconfigure])
def test_unknown_option_is_refused_with_the_similar_one(function: Any) -> None:
    with pytest.raises(TypeError, match="no option 'api_kee': did you mean 'api_key'"):
        function(api_kee="x")
    with pytest.raises(TypeError, match=r"no option 'zzz'$"):
        function(zzz=1)


def test_connect_timeout_is_a_time(disconnected: None) -> None:
    with pytest.raises(thb.InvalidArgumentError, match="connect_timeout must be a time"):
        thb.connect(connect_timeout=-1)
    with pytest.raises(TypeError, match="did you mean 'connect_timeout'"):
        thb.connect(connect_timeout_ms=1)  # type: ignore[arg-type]


def test_every_option_reaches_the_library(disconnected: None, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("secret")
    retry: thb.RetryOptions = {"initial_interval_ms": 1, "multiplier": 1.5, "max_retries": 3}
    thb.connect(
        "127.0.0.1:1",
        namespace="n",
        api_key_path=key,
        tls={"disable_host_verification": True, "server_name": "a.example"},
        grpc_meta={"X_Team": "solvers"},
        authority="a.example",
        identity="{pid}",
        lazy=True,
        proxy={"target_host": "127.0.0.1:2", "basic_auth_user": "u", "basic_auth_password": "p"},
        keepalive={"interval_ms": 60_000},
        retry=retry,
        compression="none",
        max_message_bytes=1 << 20,
    )
    thb.reconfigure(api_key="another", grpc_meta={"x-team": ""}, tls=False)
    with pytest.raises(TypeError, match="no option 'address'"):
        thb.reconfigure(address="127.0.0.1:3")  # type: ignore[arg-type]


def test_reconfiguring_needs_a_connection(disconnected: None) -> None:
    with pytest.raises(thb.NotConnectedError):
        thb.reconfigure(api_key="another")


def test_an_option_that_is_none_comes_from_its_variable(
    disconnected: None, black_hole: BlackHole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "of-the-variable")
    thb.connect(address=black_hole.address, lazy=True, namespace=None, identity=None)
    with pytest.raises((thb.TimeoutError, thb.UnavailableError)):
        thb.heartbeat(TOKEN, 1, timeout=0.1)
    assert 'namespace="of-the-variable"' in thb.metrics()


@pytest.mark.parametrize("name", SENDING)
def test_a_server_that_never_answers_is_a_timeout(connected: BlackHole, name: str) -> None:
    began = time.monotonic()
    with pytest.raises((TimeoutError, thb.UnavailableError)) as caught:
        CALLS[name](timeout=0.2)
    assert 0.1 < time.monotonic() - began < 5
    assert isinstance(caught.value, thb.Error)
    assert caught.value.retryable


@pytest.mark.parametrize("name", SENDING)
def test_a_timeout_of_zero_sends_nothing(connected: BlackHole, name: str) -> None:
    with pytest.raises(thb.TimeoutError):
        CALLS[name](timeout=0)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan"), float("inf"), 2**31 / 1000, 1e300])
def test_an_invalid_timeout_is_refused(name: str, timeout: float) -> None:
    with pytest.raises(ValueError, match="a timeout is a number of seconds") as caught:
        CALLS[name](timeout=timeout)
    assert isinstance(caught.value, thb.InvalidArgumentError)


def test_a_heartbeat_without_details_needs_clear(connected: BlackHole) -> None:
    with pytest.raises(ValueError, match="erases the progress"):
        thb.heartbeat(TOKEN)
    with pytest.raises(ValueError, match="pass it without details"):
        thb.heartbeat(TOKEN, 1, clear=True)
    with pytest.raises(thb.TimeoutError):
        thb.heartbeat(TOKEN, clear=True, timeout=0)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("token", ["dG9rZW4=", 5, None, [1]], ids=repr)
def test_a_token_that_is_not_bytes_is_a_type_error(call: str, token: Any) -> None:
    function = getattr(thb, call)
    arguments = ("message",) if call == "fail" else (1,) if call == "heartbeat" else ()
    with pytest.raises(TypeError, match="base64" if isinstance(token, str) else "is bytes, not"):
        function(token, *arguments)


@pytest.mark.parametrize("token", [bytearray(b"token"), memoryview(b"token")])
def test_any_kind_of_bytes_is_a_token(connected: BlackHole, token: Any) -> None:
    with pytest.raises(thb.TimeoutError):
        thb.heartbeat(token, 1, timeout=0)


def test_an_empty_token_is_refused(connected: BlackHole) -> None:
    with pytest.raises(thb.InvalidArgumentError, match="token"):
        thb.heartbeat(b"", 1)


def test_get_details_of_an_unreadable_token_is_refused(connected: BlackHole) -> None:
    with pytest.raises(thb.TokenUnreadableError):
        thb.get_details(b"\xff garbage")


def test_details_that_cannot_be_converted_are_a_type_error(
    connected: BlackHole,
) -> None:
    with pytest.raises(TypeError, match="object can't be converted to JSON"):
        thb.heartbeat(TOKEN, object())


@pytest.mark.parametrize("details", [(b"x" * 2_097_152,), ("x" * 2_097_152, 1)])
def test_details_over_the_limit_are_not_sent(
    connected: BlackHole, details: tuple[Any, ...]
) -> None:
    with pytest.raises(thb.TooLargeError):
        thb.heartbeat(TOKEN, *details)


def test_a_result_and_a_failure_over_the_limit_are_not_sent(
    connected: BlackHole,
) -> None:
    with pytest.raises(thb.TooLargeError):
        thb.complete(TOKEN, b"x" * 2_097_152)
    with pytest.raises(thb.TooLargeError, match="failure_json"):
        thb.fail(TOKEN, "x" * 2_097_152)


def test_a_cause_with_an_unknown_key_is_named(connected: BlackHole) -> None:
    with pytest.raises(thb.InvalidArgumentError, match=r"cause\.mesage"):
        thb.fail(TOKEN, "broken", cause={"mesage": "typo"})


def test_disconnect_wakes_a_call_of_another_thread(connected: BlackHole) -> None:
    """Also shows that the call releases the GIL: otherwise this thread couldn't run."""
    outcome: list[BaseException] = []

    def beat() -> None:
        try:
            thb.heartbeat(TOKEN, 1, timeout=60)
        except thb.Error as error:
            outcome.append(error)

    thread = threading.Thread(target=beat)
    thread.start()
    connected.wait_for_request()
    assert thread.is_alive()
    thb.disconnect(timeout=0)
    thread.join(timeout=20)
    assert [type(error) for error in outcome] == [thb.NotConnectedError]


@pytest.fixture
def no_token(disconnected: None) -> None:
    """`disconnected` has removed the token from the environment."""


def test_the_token_comes_from_the_environment(
    no_token: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = bytes(range(256))
    monkeypatch.setenv("TEMPORAL_ACTIVITY_TASK_TOKEN", base64.b64encode(token).decode())
    assert thb.token_from_env() == token


def test_the_token_comes_from_a_file(
    no_token: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_bytes(base64.b64encode(TOKEN) + b"\n")
    monkeypatch.setenv("TEMPORAL_ACTIVITY_TASK_TOKEN_FILE", str(tmp_path / "token"))
    assert thb.token_from_env() == TOKEN


def test_the_token_comes_from_a_descriptor(no_token: None, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.write(writer, base64.b64encode(TOKEN))
    os.close(writer)
    monkeypatch.setenv("TEMPORAL_ACTIVITY_TASK_TOKEN_FD", str(reader))
    assert thb.token_from_env() == TOKEN


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"TEMPORAL_ACTIVITY_TASK_TOKEN": "not base64!"},
        {"TEMPORAL_ACTIVITY_TASK_TOKEN_FILE": "/missing"},
        {"TEMPORAL_ACTIVITY_TASK_TOKEN_FD": "999"},
        {"TEMPORAL_ACTIVITY_TASK_TOKEN": "dA==", "TEMPORAL_ACTIVITY_TASK_TOKEN_FILE": "/x"},
    ],
    ids=lambda variables: "+".join(variables) or "none",
)
def test_a_missing_or_invalid_token_names_its_variable(
    no_token: None, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(thb.ConfigError) as caught:
        thb.token_from_env()
    for name in variables or ["TEMPORAL_ACTIVITY_TASK_TOKEN"]:
        assert name in str(caught.value)
