"""Failing TLS connections: each fault has a status, and a message with the cause and the next step."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.certificates import Authority, Pair
from harness.driver import refused
from harness.endpoint import Endpoint
from harness.fixtures import StartActivity, StartDriver
from harness.server import OTHER_NAMESPACE, Server

# A fault is reported at once, not at the end of the connect timeout. Errors must arrive within this time.
PATIENT = 60_000
PROMPT_S = 10.0


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "stranger")


@pytest.fixture(scope="module")
def endpoint(authority: Authority, server: Server) -> Iterator[Endpoint]:
    with Endpoint(server.address, authority.sign()) as listening:
        yield listening


@pytest.fixture(scope="module")
def mutual(authority: Authority, server: Server) -> Iterator[Endpoint]:
    with Endpoint(server.address, authority.sign(), clients_of=authority) as listening:
        yield listening


def trusting(authority: Authority, pair: Pair | None = None) -> dict[str, str]:
    tls = {"server_ca_cert_path": str(authority.path)}
    if pair is not None:
        tls |= {"client_cert_path": str(pair.cert_path), "client_key_path": str(pair.key_path)}
    return tls


def test_plain_text_to_a_tls_server(language: str, endpoint: Endpoint, start_driver: StartDriver) -> None:
    driver = start_driver(language)
    with refused("THB_TLS", endpoint.address, "speaks TLS", "TEMPORAL_TLS=true"):
        driver.connect({"address": endpoint.address, "connect_timeout_ms": PATIENT})


def test_tls_to_a_plain_text_server(language: str, server: Server, start_driver: StartDriver) -> None:
    driver = start_driver(language)
    with refused("THB_TLS", server.address, "doesn't speak TLS", "TEMPORAL_TLS=false", within_s=PROMPT_S):
        driver.connect({"address": server.address, "tls": {"disabled": False}, "connect_timeout_ms": PATIENT})


def test_certificate_of_an_unknown_authority(
    language: str, endpoint: Endpoint, stranger: Authority, start_driver: StartDriver
) -> None:
    driver = start_driver(language)
    with refused("THB_TLS", endpoint.address, "signed", "tls.server_ca_cert_path", within_s=PROMPT_S):
        driver.connect({"address": endpoint.address, "tls": trusting(stranger), "connect_timeout_ms": PATIENT})


def test_certificate_for_another_name(authority: Authority, server: Server, start_driver: StartDriver) -> None:
    with Endpoint(server.address, authority.sign("temporal.example")) as endpoint:
        driver = start_driver("c")
        with refused("THB_TLS", "127.0.0.1", "temporal.example", "tls.server_name", within_s=PROMPT_S):
            driver.connect({"address": endpoint.address, "tls": trusting(authority), "connect_timeout_ms": PATIENT})


def test_expired_certificate_of_the_server(authority: Authority, server: Server, start_driver: StartDriver) -> None:
    with Endpoint(server.address, authority.sign(expired=True)) as endpoint:
        driver = start_driver("c")
        with refused("THB_TLS", "expired", "days ago", "clock", within_s=PROMPT_S):
            driver.connect({"address": endpoint.address, "tls": trusting(authority), "connect_timeout_ms": PATIENT})


def test_client_certificate_missing(
    language: str, mutual: Endpoint, authority: Authority, start_driver: StartDriver
) -> None:
    driver = start_driver(language)
    with refused("THB_TLS", "client certificate", "tls.client_cert_path", within_s=PROMPT_S):
        driver.connect({"address": mutual.address, "tls": trusting(authority), "connect_timeout_ms": PATIENT})


@pytest.mark.parametrize("fault", ["of a stranger", "expired"])
def test_client_certificate_refused(
    fault: str, mutual: Endpoint, authority: Authority, stranger: Authority, start_driver: StartDriver
) -> None:
    pair = stranger.sign("solver") if fault == "of a stranger" else authority.sign("solver", expired=True)
    driver = start_driver("c")
    with refused("THB_TLS", "client certificate", str(pair.cert_path), "expired", "trust", within_s=PROMPT_S):
        driver.connect({"address": mutual.address, "tls": trusting(authority, pair), "connect_timeout_ms": PATIENT})


def test_server_without_http2(authority: Authority, start_driver: StartDriver) -> None:
    with tls_server(authority.sign(), "http/1.1") as address:
        driver = start_driver("c")
        with refused("THB_TLS", "HTTP/2", "gRPC", within_s=PROMPT_S):
            driver.connect({"address": address, "tls": trusting(authority), "connect_timeout_ms": PATIENT})


def test_server_that_closes_the_connection(authority: Authority, start_driver: StartDriver) -> None:
    with tls_server(authority.sign(), "h2") as address:
        driver = start_driver("c")
        with refused("THB_UNAVAILABLE", address, "closed the connection right after the TLS handshake"):
            driver.connect({"address": address, "tls": trusting(authority), "connect_timeout_ms": 500})


BAD_FILES: dict[str, tuple[str, bytes | None, tuple[str, ...]]] = {
    "no CA": ("server_ca_cert_path", None, ("No such file",)),
    "no client certificate": ("client_cert_path", None, ("No such file",)),
    "no key": ("client_key_path", None, ("No such file",)),
    "CA without PEM": ("server_ca_cert_path", b"nothing of the kind", ("no certificate in PEM",)),
    "empty client certificate": ("client_cert_path", b"", ("no certificate in PEM",)),
    "key without PEM": ("client_key_path", b"nothing of the kind", ("no private key in PEM",)),
    "PEM that ends early": ("client_cert_path", b"-----BEGIN CERTIFICATE-----\nMIIB", ("PEM",)),
    "certificate that is none": (
        "server_ca_cert_path",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        ("can't be used",),
    ),
    "no text": ("client_key_path", b"\xff\xfe", ("UTF-8",)),
}


@pytest.mark.parametrize(("option", "content", "causes"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_wrong_file(
    option: str,
    content: bytes | None,
    causes: tuple[str, ...],
    authority: Authority,
    tmp_path: Path,
    start_driver: StartDriver,
) -> None:
    bad = tmp_path / "bad.pem"
    if content is not None:
        bad.write_bytes(content)
    tls: dict[str, Any] = trusting(authority, authority.sign("solver")) | {option: str(bad)}
    with refused("THB_CONFIG", f"options.tls.{option}", str(bad), *causes):
        start_driver("c").connect({"tls": tls, "lazy": True})
    variable = f"TEMPORAL_TLS_{option.upper()}"
    rest = {name: value for name, value in tls.items() if name != option}
    with refused("THB_CONFIG", variable, str(bad), *causes):
        start_driver("c", {variable: str(bad)}).connect({"tls": rest, "lazy": True})


def test_file_that_is_a_directory(tmp_path: Path, start_driver: StartDriver) -> None:
    with refused("THB_CONFIG", "options.tls.server_ca_cert_path", str(tmp_path), "directory"):
        start_driver("c").connect({"tls": trusting_path(tmp_path), "lazy": True})


def trusting_path(path: Path) -> dict[str, str]:
    return {"server_ca_cert_path": str(path)}


def test_key_of_another_certificate(authority: Authority, start_driver: StartDriver) -> None:
    one, other = authority.sign("solver"), authority.sign("solver")
    tls = trusting(authority, Pair(one.cert_path, other.key_path))
    with refused("THB_CONFIG", str(one.cert_path), str(other.key_path), "isn't the key"):
        start_driver("c").connect({"tls": tls, "lazy": True})


def test_encrypted_key(authority: Authority, tmp_path: Path, start_driver: StartDriver) -> None:
    pair = authority.sign("solver")
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkcs8", "-topk8", "-in", str(pair.key_path), "-out", str(locked), "-passout", "pass:x"]
    subprocess.run(command, check=True)
    with refused("THB_CONFIG", str(locked), "encrypted", "openssl"):
        start_driver("c").connect({"tls": trusting(authority, Pair(pair.cert_path, locked)), "lazy": True})


@pytest.mark.parametrize(("content", "cause"), [(None, "No such file"), (b"", "empty"), (b"two words", "white space")])
def test_wrong_api_key_file(content: bytes | None, cause: str, tmp_path: Path, start_driver: StartDriver) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with refused("THB_CONFIG", "options.api_key_path", str(file), cause):
        start_driver("c").connect({"api_key_path": str(file), "lazy": True})


def test_unknown_api_key(language: str, endpoint: Endpoint, authority: Authority, start_driver: StartDriver) -> None:
    driver = start_driver(language)
    endpoint.api_key = "the-right-one"
    try:
        with refused("THB_UNAUTHENTICATED", "isn't known here", "api_key_path", within_s=PROMPT_S):
            driver.connect(
                {
                    "address": endpoint.address,
                    "api_key": "a-wrong-one",
                    "tls": trusting(authority),
                    "connect_timeout_ms": PATIENT,
                }
            )
    finally:
        endpoint.api_key = None


def test_missing_permission_is_an_error_of_the_first_heartbeat(
    language: str, authority: Authority, server: Server, start: StartActivity, start_driver: StartDriver
) -> None:
    token = start("workflow").next_attempt().token
    with Endpoint(server.address, authority.sign()) as endpoint:
        endpoint.denied = frozenset(["DescribeNamespace", "RecordActivityTaskHeartbeat"])
        driver = start_driver(language)
        driver.connect({"address": endpoint.address, "tls": trusting(authority)})
        with refused("THB_PERMISSION_DENIED", "RecordActivityTaskHeartbeat", "credentials"):
            driver.heartbeat(token, 41)


def test_missing_namespace_behind_tls_is_found_by_connect(
    endpoint: Endpoint, authority: Authority, start_driver: StartDriver
) -> None:
    options = {"address": endpoint.address, "tls": trusting(authority)}
    with refused("THB_NAMESPACE_NOT_FOUND", "of-nobody", within_s=PROMPT_S):
        start_driver("c").connect({**options, "namespace": "of-nobody", "connect_timeout_ms": PATIENT})
    start_driver("c").connect({**options, "namespace": OTHER_NAMESPACE})


@contextmanager
def tls_server(pair: Pair, protocol: str) -> Iterator[str]:
    """A server that completes the handshake and closes the connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert_path, pair.key_path)
    context.set_alpn_protocols([protocol])
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(client, server_side=True) as secure:
                    secure.unwrap()
            except OSError:
                client.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
