"""Working TLS connections: an endpoint with TLS in front of the server, in each language."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.certificates import Authority
from harness.driver import refused
from harness.endpoint import Endpoint
from harness.fixtures import StartActivity, StartDriver
from harness.server import NAMESPACE, Server
from harness.signals import Signals


@pytest.fixture(scope="module")
def endpoint(authority: Authority, server: Server) -> Iterator[Endpoint]:
    with Endpoint(server.address, authority.sign()) as listening:
        yield listening


@pytest.fixture(scope="module")
def mutual(authority: Authority, server: Server) -> Iterator[Endpoint]:
    with Endpoint(server.address, authority.sign(), clients_of=authority) as listening:
        yield listening


def test_server_is_verified_by_its_authority(
    language: str, endpoint: Endpoint, authority: Authority, start: StartActivity, start_driver: StartDriver
) -> None:
    token = start("workflow").next_attempt().token
    driver = start_driver(language)
    driver.connect({"address": endpoint.address, "tls": {"server_ca_cert_path": str(authority.path)}})
    assert driver.heartbeat(token, 41) == Signals.NONE


def test_client_and_server_verify_each_other(
    language: str, mutual: Endpoint, authority: Authority, start_driver: StartDriver
) -> None:
    pair = authority.sign("solver")
    start_driver(language).connect(
        {
            "address": mutual.address,
            "tls": {
                "server_ca_cert_data": authority.pem.decode(),
                "client_cert_path": str(pair.cert_path),
                "client_key_path": str(pair.key_path),
            },
        }
    )
    assert mutual.metadata("DescribeNamespace")["temporal-namespace"] == NAMESPACE


def test_environment_configures_tls_and_credentials(
    language: str, mutual: Endpoint, authority: Authority, start_driver: StartDriver
) -> None:
    pair = authority.sign("solver")
    variables = {
        "TEMPORAL_ADDRESS": mutual.address,
        "TEMPORAL_NAMESPACE": NAMESPACE,
        "TEMPORAL_TLS_SERVER_CA_CERT_PATH": str(authority.path),
        "TEMPORAL_TLS_CLIENT_CERT_DATA": pair.cert.decode(),
        "TEMPORAL_TLS_CLIENT_KEY_PATH": str(pair.key_path),
        "TEMPORAL_API_KEY": "of-the-environment",
        "TEMPORAL_GRPC_META_X_TEAM": "solvers",
    }
    start_driver(language, variables).connect({})
    metadata = mutual.metadata("DescribeNamespace")
    assert metadata["authorization"] == "Bearer of-the-environment"
    assert metadata["x-team"] == "solvers"
    assert metadata["temporal-namespace"] == NAMESPACE


def test_profile_configures_tls_and_credentials(
    language: str, mutual: Endpoint, authority: Authority, tmp_path: Path, start_driver: StartDriver
) -> None:
    pair = authority.sign("solver")
    file = tmp_path / "temporal.toml"
    file.write_text(
        f"""
        [profile.prod]
        address = "{mutual.address}"
        namespace = "{NAMESPACE}"
        api_key = "of-the-profile"
        [profile.prod.tls]
        server_ca_cert_path = "{authority.path}"
        client_cert_path = "{pair.cert_path}"
        client_key_path = "{pair.key_path}"
        [profile.prod.grpc_meta]
        X_Team = "solvers"
        """
    )
    start_driver(language).connect({"config_file": str(file), "profile": "prod"})
    metadata = mutual.metadata("DescribeNamespace")
    assert metadata["authorization"] == "Bearer of-the-profile"
    assert metadata["x-team"] == "solvers"


def test_api_key_alone_turns_tls_on_with_the_system_trust_store(
    language: str, endpoint: Endpoint, authority: Authority, start_driver: StartDriver
) -> None:
    driver = start_driver(language, {"SSL_CERT_FILE": str(authority.path)})
    driver.connect({"address": endpoint.address, "api_key": "of-the-options", "grpc_meta": {"X_Raw-bin": "?>"}})
    metadata = endpoint.metadata("DescribeNamespace")
    assert metadata["authorization"] == "Bearer of-the-options"
    assert metadata["x-raw-bin"] == b"?>"


def test_server_may_have_another_name_than_its_address(
    authority: Authority, server: Server, start_driver: StartDriver
) -> None:
    with Endpoint(server.address, authority.sign("temporal.example")) as endpoint:
        tls = {"server_ca_cert_path": str(authority.path), "server_name": "temporal.example"}
        start_driver("c").connect({"address": endpoint.address, "tls": tls})
        assert endpoint.metadata("DescribeNamespace")["temporal-namespace"] == NAMESPACE


def test_host_verification_is_off_only_by_its_option(
    authority: Authority, server: Server, tmp_path: Path, start_driver: StartDriver
) -> None:
    stranger = Authority(tmp_path, "stranger")
    with Endpoint(server.address, authority.sign("temporal.example")) as endpoint:
        here: dict[str, object] = {"address": endpoint.address}
        known, strange = ({"server_ca_cert_path": str(one.path)} for one in (authority, stranger))
        off = {"disable_host_verification": True}
        with refused("THB_TLS", "temporal.example", "tls.server_name"):
            start_driver("c").connect({**here, "tls": known})
        start_driver("c").connect({**here, "tls": {**known, **off}})
        # A configured authority is still checked. Without one, any certificate is accepted.
        with refused("THB_TLS", "signed"):
            start_driver("c").connect({**here, "tls": {**strange, **off}})
        start_driver("c").connect({**here, "tls": off})
        variables = {"TEMPORAL_TLS_DISABLE_HOST_VERIFICATION": "1"}
        start_driver("c", variables).connect(here)
        with refused("THB_TLS"):
            start_driver("c", variables).connect({**here, "tls": {**known, "disable_host_verification": False}})
