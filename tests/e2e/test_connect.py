"""Connecting and disconnecting: the errors of a failed connect, and calls after it."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from harness.activities import Kind, WorkflowActivity
from harness.driver import Raw, refused
from harness.fixtures import Connect, StartActivity, StartDriver
from harness.proxy import Proxy
from harness.requests import Call
from harness.server import NAMESPACE, OTHER_NAMESPACE, Server, free_port
from harness.signals import Signals
from harness.worker import ActivityOptions, SdkWorker


def test_environment_names_the_server(
    language: str, server: Server, start: StartActivity, start_driver: StartDriver
) -> None:
    driver = start_driver(language, {"TEMPORAL_ADDRESS": server.address, "TEMPORAL_NAMESPACE": NAMESPACE})
    driver.connect(Raw("-"))
    assert driver.heartbeat(start("workflow").next_attempt().token, 41) == Signals.NONE


def test_options_win_over_the_environment(
    language: str, server: Server, start: StartActivity, start_driver: StartDriver
) -> None:
    driver = start_driver(language, {"TEMPORAL_ADDRESS": "127.0.0.1:1", "TEMPORAL_NAMESPACE": "of-nobody"})
    driver.connect({"address": server.address, "namespace": NAMESPACE})
    assert driver.heartbeat(start("workflow").next_attempt().token, 41) == Signals.NONE


def test_missing_namespace_of_the_environment_is_found_by_connect(
    language: str, server: Server, start_driver: StartDriver
) -> None:
    driver = start_driver(language, {"TEMPORAL_NAMESPACE": "of-nobody"})
    with refused("THB_NAMESPACE_NOT_FOUND", "of-nobody"):
        driver.connect({"address": server.address})


def test_server_shows_the_identity(
    language: str, server: Server, sdk_worker: SdkWorker, start_driver: StartDriver
) -> None:
    activity = WorkflowActivity(sdk_worker, ActivityOptions())
    driver = start_driver(language)
    driver.connect({"address": server.address, "identity": "solver-7"})
    driver.complete(activity.next_attempt().token, "done")
    activity.result()
    assert activity.completed_by() == "solver-7"


def test_default_identity_is_pid_at_host(language: str, sdk_worker: SdkWorker, connect: Connect) -> None:
    activity = WorkflowActivity(sdk_worker, ActivityOptions())
    driver = connect(language)
    driver.complete(activity.next_attempt().token, "done")
    activity.result()
    assert activity.completed_by() == f"{driver.pid}@{socket.gethostname()}"


def test_refused_connection_names_address_and_cause(language: str, start_driver: StartDriver) -> None:
    address = f"127.0.0.1:{free_port()}"
    driver = start_driver(language)
    began = time.monotonic()
    with refused("THB_UNAVAILABLE", address, "connection refused"):
        driver.connect({"address": address, "connect_timeout_ms": 300})
    assert 0.2 < time.monotonic() - began < 8, "it retries until the timeout, and no longer"


def test_unresolvable_name_is_unavailable(language: str, start_driver: StartDriver) -> None:
    with refused("THB_UNAVAILABLE", "nowhere.invalid"):
        start_driver(language).connect({"address": "nowhere.invalid:7233", "connect_timeout_ms": 1_000})


def test_a_silent_listener_is_a_timeout(language: str, start_driver: StartDriver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        driver = start_driver(language)
        began = time.monotonic()
        with refused("THB_TIMEOUT", address):
            driver.connect({"address": address, "connect_timeout_ms": 300})
        assert 0.25 < time.monotonic() - began < 8


def test_listener_without_grpc_is_unavailable(start_driver: StartDriver) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as http:
        address = f"127.0.0.1:{http.server_port}"
        threading.Thread(target=http.serve_forever, daemon=True).start()
        with refused("THB_UNAVAILABLE", address):
            start_driver("c").connect({"address": address, "connect_timeout_ms": 500})
        http.shutdown()


def test_connect_waits_for_a_server_that_starts_later(
    language: str, server: Server, start: StartActivity, start_driver: StartDriver
) -> None:
    """The test reserves the port, closes it, and then starts a proxy to the real server on it."""
    port = free_port()
    driver = start_driver(language)
    driver.start_connect({"address": f"127.0.0.1:{port}", "connect_timeout_ms": 10_000})
    time.sleep(0.3)  # long enough for a failed try
    with Proxy(server.port, port):
        driver.finish()
        assert driver.heartbeat(start("workflow").next_attempt().token, 41) == Signals.NONE
        driver.disconnect()


def test_error_names_the_missing_namespace(language: str, server: Server, start_driver: StartDriver) -> None:
    driver = start_driver(language)
    with refused("THB_NAMESPACE_NOT_FOUND", "of-nobody"):
        driver.connect({"address": server.address, "namespace": "of-nobody"})


def test_connect_works_after_a_failed_connect(
    language: str, server: Server, start: StartActivity, start_driver: StartDriver
) -> None:
    driver = start_driver(language)
    with refused("THB_NAMESPACE_NOT_FOUND"):
        driver.connect({"address": server.address, "namespace": "of-nobody"})
    token = start("workflow").next_attempt().token
    with refused("THB_NOT_CONNECTED"):
        driver.heartbeat(token, 41)
    driver.connect({"address": server.address})
    assert driver.heartbeat(token, 41) == Signals.NONE


def test_lazy_connect_reports_errors_at_the_first_call(
    language: str, start: StartActivity, start_driver: StartDriver
) -> None:
    address = f"127.0.0.1:{free_port()}"
    driver = start_driver(language)
    driver.connect({"address": address, "lazy": True})
    with refused("THB_UNAVAILABLE", address, "connection refused"):
        driver.heartbeat(start("workflow").next_attempt().token, 41, timeout=2_000)


def test_lazy_connect_finds_the_namespace_missing_on_the_first_call(
    language: str, server: Server, start: StartActivity, start_driver: StartDriver
) -> None:
    driver = start_driver(language)
    driver.connect({"address": server.address, "namespace": "of-nobody", "lazy": True})
    with refused("THB_NAMESPACE_NOT_FOUND", "of-nobody"):
        driver.heartbeat(start("workflow").next_attempt().token, 41)


def test_token_of_another_namespace_is_refused(
    language: str, kind: Kind, call: Call, server: Server, start: StartActivity, start_driver: StartDriver
) -> None:
    """The status must not be NOT_FOUND, because NOT_FOUND would stop work that is still wanted."""
    driver = start_driver(language)
    driver.connect({"address": server.address, "namespace": OTHER_NAMESPACE})
    with refused("THB_INVALID_ARGUMENT", "namespace"):
        call(driver, start(kind).next_attempt().token)


def test_token_of_another_namespace_is_refused_when_connected_lazily(
    call: Call, server: Server, start: StartActivity, start_driver: StartDriver
) -> None:
    driver = start_driver("c")
    driver.connect({"address": server.address, "namespace": OTHER_NAMESPACE, "lazy": True})
    with refused("THB_INVALID_ARGUMENT", "namespace"):
        call(driver, start("workflow").next_attempt().token)


def test_second_connect_is_refused_and_the_first_one_stays(
    language: str, server: Server, start: StartActivity, connect: Connect
) -> None:
    driver = connect(language)
    with refused("THB_ALREADY_CONNECTED"):
        driver.connect({"address": server.address})
    assert driver.heartbeat(start("workflow").next_attempt().token, 41) == Signals.NONE


def test_calls_before_connect_and_after_disconnect_are_not_connected(
    language: str, call: Call, start: StartActivity, server: Server, start_driver: StartDriver
) -> None:
    token = start("workflow").next_attempt().token
    driver = start_driver(language)
    for _ in range(2):
        with refused("THB_NOT_CONNECTED", "connect"):
            call(driver, token)
        driver.connect({"address": server.address})
        driver.disconnect()
    driver.disconnect()  # a second disconnect is no error

    driver.connect({"address": server.address})
    assert driver.heartbeat(token, 41) == Signals.NONE
    driver.disconnect(timeout=0)
