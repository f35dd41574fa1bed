"""nginx in front of the server: TLS, client certificates, and nginx's own error answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.certificates import Authority
from harness.driver import refused
from harness.fixtures import StartActivity, StartDriver
from harness.nginx import Nginx
from harness.payloads import LIMIT, bytes_of_size
from harness.server import Server, free_port
from harness.signals import Signals

# nginx's own answers are reported long before the call's timeout.
PATIENT = 55_000
PROMPT_S = 30.0


@pytest.fixture(scope="module")
def mutual(authority: Authority, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("nginx") / "mutual"
    with Nginx(folder, server.address, authority.sign(), clients_of=authority) as nginx:
        yield nginx


def trusting(authority: Authority, *names: str, of: Authority | None = None, expired: bool = False) -> dict[str, str]:
    tls = {"server_ca_cert_path": str(authority.path)}
    if names:
        pair = (of or authority).sign(*names, expired=expired)
        tls |= {"client_cert_path": str(pair.cert_path), "client_key_path": str(pair.key_path)}
    return tls


def test_heartbeats_pass_through_nginx(
    language: str, authority: Authority, server: Server, tmp_path: Path, start: StartActivity, start_driver: StartDriver
) -> None:
    token = start("workflow").next_attempt().token
    with Nginx(tmp_path / "nginx", server.address, authority.sign()) as nginx:
        driver = start_driver(language)
        driver.connect({"address": nginx.address, "tls": trusting(authority)})
        assert driver.heartbeat(token, 41) == Signals.NONE
        assert driver.get_details(token).values == [41]


def test_client_certificate_is_sent_to_nginx(
    language: str, mutual: Nginx, authority: Authority, start: StartActivity, start_driver: StartDriver
) -> None:
    token = start("workflow").next_attempt().token
    driver = start_driver(language)
    driver.connect({"address": mutual.address, "tls": trusting(authority, "solver")})
    assert driver.heartbeat(token, 41) == Signals.NONE


def test_client_certificate_missing_for_nginx(
    language: str, mutual: Nginx, authority: Authority, start_driver: StartDriver
) -> None:
    """nginx completes the TLS handshake, and answers the first request with an error page."""
    driver = start_driver(language)
    with refused("THB_TLS", "client certificate", "tls.client_cert_path", "400", within_s=PROMPT_S):
        driver.connect({"address": mutual.address, "tls": trusting(authority), "connect_timeout_ms": PATIENT})


@pytest.mark.parametrize("fault", ["of a stranger", "expired"])
def test_client_certificate_refused_by_nginx(
    fault: str, mutual: Nginx, authority: Authority, tmp_path: Path, start_driver: StartDriver
) -> None:
    stranger = Authority(tmp_path, "stranger") if fault == "of a stranger" else authority
    tls = trusting(authority, "solver", of=stranger, expired=fault == "expired")
    driver = start_driver("c")
    with refused("THB_TLS", "client certificate", tls["client_cert_path"], "400", within_s=PROMPT_S):
        driver.connect({"address": mutual.address, "tls": tls, "connect_timeout_ms": PATIENT})


def test_details_too_large_for_nginx_are_refused_and_not_retried(
    authority: Authority, server: Server, tmp_path: Path, start: StartActivity, start_driver: StartDriver
) -> None:
    """nginx accepts 1 MiB (client_max_body_size), the server twice as much."""
    token = start("workflow").next_attempt().token
    with Nginx(tmp_path / "nginx", server.address, authority.sign()) as nginx:
        driver = start_driver("c")
        driver.connect({"address": nginx.address, "tls": trusting(authority)})
        driver.heartbeat(token, 41)
        with refused("THB_TOO_LARGE", "413", within_s=PROMPT_S):
            driver.heartbeat(token, bytes_of_size(3 * LIMIT // 4), timeout=PATIENT)
        assert driver.get_details(token).values == [41]
        assert driver.heartbeat(token, 42) == Signals.NONE


def test_connections_that_nginx_closes_lose_no_call(
    authority: Authority, server: Server, tmp_path: Path, start: StartActivity, start_driver: StartDriver
) -> None:
    token = start("workflow").next_attempt().token
    with Nginx(tmp_path / "nginx", server.address, authority.sign(), requests=7) as nginx:
        driver = start_driver("c")
        driver.connect({"address": nginx.address, "tls": trusting(authority)})
        for number in range(100):
            assert driver.heartbeat(token, number) == Signals.NONE
        assert driver.get_details(token).values == [99]


def test_absent_server_behind_nginx_is_unavailable(
    authority: Authority, tmp_path: Path, start_driver: StartDriver
) -> None:
    with Nginx(tmp_path / "nginx", f"127.0.0.1:{free_port()}", authority.sign()) as nginx:
        driver = start_driver("c")
        with refused("THB_UNAVAILABLE", nginx.address, "HTTP status 502"):
            driver.connect({"address": nginx.address, "tls": trusting(authority), "connect_timeout_ms": 1000})
