"""Connecting through a real HTTP proxy, with and without TLS inside."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.certificates import Authority
from harness.driver import refused
from harness.endpoint import Endpoint
from harness.fixtures import StartActivity, StartDriver
from harness.http_proxy import http_proxy
from harness.server import NAMESPACE, Server, free_port
from harness.signals import Signals


@pytest.fixture(scope="module")
def open_proxy() -> Iterator[str]:
    with http_proxy() as address:
        yield address


@pytest.fixture(scope="module")
def guarded_proxy() -> Iterator[str]:
    with http_proxy("solver:pass:word") as address:
        yield address


def test_heartbeats_pass_through_a_proxy(
    language: str, open_proxy: str, server: Server, start: StartActivity, start_driver: StartDriver
) -> None:
    token = start("workflow").next_attempt().token
    driver = start_driver(language)
    driver.connect({"address": server.address, "proxy": {"target_host": open_proxy}})
    assert driver.heartbeat(token, 41) == Signals.NONE


def test_tls_passes_through_a_proxy_with_credentials(
    language: str, guarded_proxy: str, server: Server, tmp_path: Path, start_driver: StartDriver
) -> None:
    authority = Authority(tmp_path)
    proxy = {"target_host": guarded_proxy, "basic_auth_user": "solver", "basic_auth_password": "pass:word"}
    with Endpoint(server.address, authority.sign()) as endpoint:
        tls = {"server_ca_cert_path": str(authority.path)}
        start_driver(language).connect({"address": endpoint.address, "tls": tls, "proxy": proxy})
        assert endpoint.metadata("DescribeNamespace")["temporal-namespace"] == NAMESPACE


def test_refusal_names_the_proxy_that_requires_credentials(
    guarded_proxy: str, server: Server, start_driver: StartDriver
) -> None:
    with refused("THB_UNAUTHENTICATED", guarded_proxy, "407", "proxy.basic_auth_user"):
        start_driver("c").connect({"address": server.address, "proxy": guarded_proxy})
    proxy = {"target_host": guarded_proxy, "basic_auth_user": "solver", "basic_auth_password": "not-to-be-seen"}
    with refused("THB_UNAUTHENTICATED", "407", "doesn't accept") as refusal:
        start_driver("c").connect({"address": server.address, "proxy": proxy})
    assert "not-to-be-seen" not in refusal.message


def test_unreachable_proxy_is_named(server: Server, start_driver: StartDriver) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with refused("THB_UNAVAILABLE", nobody, "connection refused", "proxy"):
        start_driver("c").connect({"address": server.address, "proxy": nobody, "connect_timeout_ms": 500})


def test_server_unreachable_by_the_proxy_is_named(open_proxy: str, start_driver: StartDriver) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with refused("THB_UNAVAILABLE", nobody, open_proxy):
        start_driver("c").connect({"address": nobody, "proxy": open_proxy, "connect_timeout_ms": 1500})


def test_listener_without_http_proxy_is_unavailable(server: Server, start_driver: StartDriver) -> None:
    with refused("THB_UNAVAILABLE", server.address, "proxy"):
        start_driver("c").connect({"address": "127.0.0.1:1", "proxy": server.address, "connect_timeout_ms": 500})
