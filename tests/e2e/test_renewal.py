"""Credentials are renewed while activities are open. No beat and no handle is lost."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.certificates import Authority, Pair
from harness.driver import Driver, OpenActivity, Refused, refused
from harness.endpoint import Endpoint
from harness.fixtures import StartActivity, StartDriver
from harness.languages import LANGUAGES
from harness.network import TcpSocket, sockets_of
from harness.polling import wait_until
from harness.server import Server
from harness.signals import Signals


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def driver() -> Iterator[Driver]:
    driver = LANGUAGES["cpp"].start()
    yield driver
    assert driver.close() == 0


def held_open(driver: Driver, start: StartActivity, timeout_ms: int = 5000) -> OpenActivity:
    token = start("workflow", heartbeat_timeout_ms=timeout_ms).next_attempt().token
    return driver.open(token, heartbeat_timeout_ms=timeout_ms)


def replace(file: Path, content: bytes) -> None:
    """Replaces the file atomically, as programs that renew credentials do: no reader sees half a file."""
    fresh = file.with_suffix(".new")
    fresh.write_bytes(content)
    os.replace(fresh, file)


def test_api_key_in_a_file_is_renewed_without_losing_a_beat(
    driver: Driver, authority: Authority, tmp_path: Path, server: Server, start: StartActivity
) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"key-0\n")
    with Endpoint(server.address, authority.sign()) as endpoint:
        endpoint.api_key = "key-0"
        driver.connect(
            {
                "address": endpoint.address,
                "api_key_path": str(key),
                "tls": {"server_ca_cert_path": str(authority.path)},
            }
        )
        activity = held_open(driver, start)
        for number in range(1, 6):
            # The old key becomes invalid at the moment at which the new one is in the file.
            replace(key, f"key-{number}".encode())
            endpoint.api_key = f"key-{number}"
            activity.record(number)
            activity.flush()
            assert activity.signals() == Signals.NONE
        assert endpoint.refusals >= 1, "a try used the old key, and a retry the new one"


def test_certificates_in_files_are_renewed_under_load(
    driver: Driver, authority: Authority, tmp_path: Path, server: Server, start: StartActivity
) -> None:
    held = Pair(tmp_path / "client.crt", tmp_path / "client.key")

    def renew(pair: Pair) -> None:
        # Replaces one file after the other, so for a moment certificate and key don't match.
        replace(held.key_path, pair.key)
        replace(held.cert_path, pair.cert)

    renew(authority.sign("solver"))
    with Endpoint(server.address, authority.sign(), clients_of=authority, connection_age=2) as endpoint:
        driver.connect(
            {
                "address": endpoint.address,
                "tls": {
                    "server_ca_cert_path": str(authority.path),
                    "client_cert_path": str(held.cert_path),
                    "client_key_path": str(held.key_path),
                },
            }
        )
        activity = held_open(driver, start)
        end = time.monotonic() + 5
        number = 0
        while time.monotonic() < end:
            if number % 20 == 0:
                renew(authority.sign("solver"))
            activity.record(number)
            activity.flush()
            number += 1
        assert activity.signals() == Signals.NONE
        assert len(endpoint.peers()) >= 3, "connections are closed at an age of 2 s, and replaced with new certificates"


def test_expired_credentials_are_an_error_until_they_are_renewed(
    driver: Driver, authority: Authority, tmp_path: Path, server: Server, start: StartActivity
) -> None:
    held = Pair(tmp_path / "client.crt", tmp_path / "client.key")
    good, expired = authority.sign("solver"), authority.sign("solver", expired=True)
    replace(held.key_path, good.key)
    replace(held.cert_path, good.cert)
    with Endpoint(server.address, authority.sign(), clients_of=authority, connection_age=1) as endpoint:
        driver.connect(
            {
                "address": endpoint.address,
                "tls": {
                    "server_ca_cert_path": str(authority.path),
                    "client_cert_path": str(held.cert_path),
                    "client_key_path": str(held.key_path),
                },
            }
        )
        activity = held_open(driver, start, 60_000)
        activity.record(1)
        activity.flush()

        replace(held.key_path, expired.key)
        replace(held.cert_path, expired.cert)

        refusals: list[str] = []

        def fails() -> bool:
            try:
                activity.record(2)
                activity.flush(timeout=2000)
            except Refused as refusal:
                refusals.append(f"{refusal.status} {refusal.message}")
                return True
            return False

        def refuses_the_certificate() -> bool:
            return fails() and "THB_TLS" in refusals[-1] and "client certificate" in refusals[-1]

        wait_until(refuses_the_certificate, "a new connection is refused because of the certificate")
        assert Signals.REFUSED in activity.signals()

        replace(held.key_path, good.key)
        replace(held.cert_path, good.cert)
        wait_until(lambda: not fails(), "the last record is sent with the new certificate")
        activity.flush()
        assert activity.signals() == Signals.NONE


def test_reconfiguring_changes_credentials_and_keeps_what_is_open(
    language: str, authority: Authority, server: Server, start: StartActivity, start_driver: StartDriver
) -> None:
    token = start("workflow").next_attempt().token
    with Endpoint(server.address, authority.sign()) as endpoint:
        endpoint.api_key = "one"
        driver = start_driver(language)
        tls = {"server_ca_cert_path": str(authority.path)}
        headers = {"x-a": "1", "x-b": "1"}
        driver.connect({"address": endpoint.address, "api_key": "one", "tls": tls, "grpc_meta": headers})
        endpoint.api_key = "two"
        with refused("THB_UNAUTHENTICATED", "api_key"):
            driver.heartbeat(token, 1)
        driver.reconfigure({"api_key": "two", "grpc_meta": {"X_B": "2"}})
        assert driver.heartbeat(token, 2) == Signals.NONE
        metadata = endpoint.metadata("RecordActivityTaskHeartbeat")
        assert (metadata["x-a"], metadata["x-b"]) == ("1", "2")
        assert_unchanged_by_a_mistake(driver, token, authority)


def assert_unchanged_by_a_mistake(driver: Driver, token: bytes, authority: Authority) -> None:
    one, other = authority.sign(), authority.sign()
    mismatch = {"client_cert_path": str(one.cert_path), "client_key_path": str(other.key_path)}
    with refused("THB_CONFIG", "isn't the key"):
        driver.reconfigure({"api_key": "three", "tls": mismatch})
    assert driver.heartbeat(token, 3) == Signals.NONE


def test_new_tls_options_replace_the_old_ones_once_they_work(
    driver: Driver, authority: Authority, tmp_path: Path, server: Server, start: StartActivity
) -> None:
    newcomer = Authority(tmp_path, "newcomer")
    one, other = authority.sign("solver"), newcomer.sign("solver")

    def of(pair: Pair) -> dict[str, str]:
        return {"client_cert_path": str(pair.cert_path), "client_key_path": str(pair.key_path)}

    with Endpoint(server.address, authority.sign(), clients_of=authority) as endpoint:
        ca = {"server_ca_cert_path": str(authority.path)}
        driver.connect({"address": endpoint.address, "tls": {**ca, **of(one)}})
        activity = held_open(driver, start)
        activity.record(1)
        activity.flush()
        # The server refuses these certificates, so the old connection stays in use.
        driver.reconfigure({"tls": of(other)})
        activity.record(2)
        activity.flush()
        assert len(endpoint.peers()) == 1
        # Now the server accepts only the new certificates.
        endpoint.trust(newcomer)
        driver.reconfigure({"tls": {**of(other), "server_name": "127.0.0.1"}})
        wait_until(lambda: beats_on_more_than(1, activity, endpoint), "a new connection replaces the old one")
        assert activity.signals() == Signals.NONE


def beats_on_more_than(connections: int, activity: OpenActivity, endpoint: Endpoint) -> bool:
    activity.record(3)
    activity.flush()
    return len(endpoint.peers()) > connections


def test_old_connections_are_closed_after_new_credentials(
    driver: Driver, authority: Authority, server: Server, start: StartActivity
) -> None:
    def connections() -> list[TcpSocket]:
        return [entry for entry in sockets_of(driver.pid) if entry.remote[1] == endpoint.port]

    def beats_on_a_new_connection() -> bool:
        return beats_on_more_than(renewal + 1, activity, endpoint)

    with Endpoint(server.address, authority.sign(), clients_of=authority) as endpoint:
        tls = {"server_ca_cert_path": str(authority.path)}
        driver.connect({"address": endpoint.address, "tls": tls | client_of(authority)})
        activity = held_open(driver, start)
        for renewal in range(5):
            driver.reconfigure({"tls": client_of(authority)})
            wait_until(beats_on_a_new_connection, "a new connection replaces the old one")
            wait_until(lambda: len(connections()) == 1, f"the connection before renewal {renewal} is closed", 10)
        assert activity.signals() == Signals.NONE


def client_of(authority: Authority) -> dict[str, str]:
    pair = authority.sign("solver")
    return {"client_cert_path": str(pair.cert_path), "client_key_path": str(pair.key_path)}


def test_reconfiguring_needs_a_connection(language: str, start_driver: StartDriver) -> None:
    with refused("THB_NOT_CONNECTED", "connect"):
        start_driver(language).reconfigure({"api_key": "key"})
