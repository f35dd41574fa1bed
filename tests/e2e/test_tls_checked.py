"""The server's identity is verified unless one option turns this off. No other option and no mistake turns it off."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.certificates import Authority
from harness.driver import refused
from harness.endpoint import Endpoint
from harness.fixtures import StartActivity, StartDriver
from harness.markdown import options_of
from harness.paths import ROOT
from harness.server import Server
from harness.signals import Signals

THE_ONE = "disable_host_verification"


@pytest.fixture
def stranger(authority: Authority, server: Server) -> Iterator[Endpoint]:
    with Endpoint(server.address, authority.sign()) as endpoint:
        yield endpoint
        assert endpoint.peers() == set(), "nothing was sent to it"


def test_no_other_option_turns_verification_off(stranger: Endpoint, tmp_path: Path, start_driver: StartDriver) -> None:
    other = Authority(tmp_path, "other")
    pair = other.sign("solver")
    key = tmp_path / "key"
    key.write_text("of-a-file")
    harmless: dict[str, Any] = {
        "address": stranger.address,
        "namespace": "default",
        "identity": "solver",
        "connect_timeout_ms": 50_000,
        "api_key": "of-the-options",
        "api_key_path": str(key),
        "tls.disabled": False,
        "tls.server_ca_cert_path": str(other.path),
        "tls.server_ca_cert_data": other.pem.decode(),
        "tls.client_cert_path": str(pair.cert_path),
        "tls.client_cert_data": pair.cert.decode(),
        "tls.server_name": "localhost",
        f"tls.{THE_ONE}": False,
        "grpc_meta": {"x-team": "solvers"},
        "authority": "localhost",
        "keepalive.disabled": True,
        "keepalive.interval_ms": 1000,
        "keepalive.timeout_ms": 1000,
        "retry.disabled": True,
        "retry.initial_interval_ms": 1,
        "retry.multiplier": 1.0,
        "retry.max_interval_ms": 1,
        "retry.randomization_factor": 0.0,
        "retry.max_retries": 1,
        "compression": "none",
        "max_message_bytes": 4096,
        "require_encoded": True,
        "metrics_address": "127.0.0.1:0",
        "codec_endpoint": "http://127.0.0.1:1",
        "encode_common_attributes": True,
    }
    with_it = {
        "tls.client_cert_path": {"client_key_path": str(pair.key_path)},
        "tls.client_cert_data": {"client_key_data": pair.key.decode()},
    }
    driver = start_driver("c")
    for option, value in harmless.items():
        tls: dict[str, Any] = {"disabled": False, **with_it.get(option, {})}
        options: dict[str, Any] = {"address": stranger.address, "tls": tls}
        group, _, name = option.rpartition(".")
        (tls if group == "tls" else options.setdefault(group, {}) if group else options)[name] = value
        with refused("THB_TLS", "signed"):
            driver.connect(options)
    # Other tests cover the remaining options. A key option needs its certificate option.
    elsewhere = {"config_file", "profile", "lazy", "tls.client_key_path", "tls.client_key_data"}
    elsewhere |= {"proxy.target_host", "proxy.basic_auth_user", "proxy.basic_auth_password"}
    # Without an activity in the environment, it makes no connection.
    elsewhere |= {"when_absent"}
    # Those of a codec server are accepted only with its address, and are for its connection.
    elsewhere |= {"codec_auth", "codec_headers", "codec_http_host"}
    elsewhere |= {
        f"codec_tls.{one.removeprefix('tls.')}"
        for one in options_of(ROOT / "docs" / "options.md")
        if one.startswith("tls.")
    }
    elsewhere.discard("codec_tls.disabled")
    assert options_of(ROOT / "docs" / "options.md") == {*harmless, *elsewhere}, "does the new option keep the check on?"


def test_lazy_connection_verifies_the_host_too(stranger: Endpoint, start_driver: StartDriver) -> None:
    driver = start_driver("c")
    driver.connect({"address": stranger.address, "tls": True, "lazy": True})
    with refused("THB_TLS", "signed"):
        driver.heartbeat(b"any", 1)


MISUSED: list[Any] = ["true", "", "yes", 1, 0, [], {}, [True]]


@pytest.mark.parametrize("value", MISUSED)
def test_value_of_another_type_is_refused(value: object, stranger: Endpoint, start_driver: StartDriver) -> None:
    driver = start_driver("c")
    with refused("THB_CONFIG", f"options.tls.{THE_ONE}", "true or false"):
        driver.connect({"address": stranger.address, "tls": {THE_ONE: value}})
    with refused("THB_CONFIG", "options.tls.disabled", "true or false"):
        driver.connect({"address": stranger.address, "tls": {"disabled": value}})


@pytest.mark.parametrize("value", ["true", "false", "", 1, 0, []])
def test_tls_of_another_type_is_refused(value: object, stranger: Endpoint, start_driver: StartDriver) -> None:
    with refused("THB_CONFIG", "options.tls"):
        start_driver("c").connect({"address": stranger.address, "tls": value})


@pytest.mark.parametrize("name", ["disable_hostname_verification", "Disable_Host_Verification", "insecure", "verify"])
def test_other_name_is_refused(name: str, stranger: Endpoint, start_driver: StartDriver) -> None:
    with refused("THB_CONFIG", name, THE_ONE):
        start_driver("c").connect({"address": stranger.address, "tls": {name: True}})


VARIABLE = f"TEMPORAL_TLS_{THE_ONE.upper()}"


@pytest.mark.parametrize("value", ["yes", "on", "y", "t", "2", "-1", " true", "true ", "1.0", "null", "disabled"])
def test_variable_that_is_neither_true_nor_false_is_refused(
    value: str, stranger: Endpoint, start_driver: StartDriver
) -> None:
    for variable in (VARIABLE, "TEMPORAL_TLS"):
        with refused("THB_CONFIG", variable, "true or false"):
            start_driver("c", {variable: value}).connect({"address": stranger.address})


@pytest.mark.parametrize(
    "variables",
    [
        {VARIABLE: ""},
        {VARIABLE: "0"},
        {VARIABLE: "False"},
        {VARIABLE.lower(): "1"},
        {"TEMPORAL_TLS_DISABLE_HOST_VERIFY": "1"},
        {"TEMPORAL_DISABLE_HOST_VERIFICATION": "1"},
        {"PYTHONHTTPSVERIFY": "0", "NODE_TLS_REJECT_UNAUTHORIZED": "0"},
    ],
)
def test_host_verification_stays_on_with_other_variables(
    variables: dict[str, str], stranger: Endpoint, start_driver: StartDriver
) -> None:
    with refused("THB_TLS", "signed"):
        start_driver("c", {"TEMPORAL_TLS": "true", **variables}).connect({"address": stranger.address})


@pytest.mark.parametrize("value", ['"true"', '"1"', "1", "[true]", '""'])
def test_profile_of_another_type_is_refused(
    value: str, stranger: Endpoint, tmp_path: Path, start_driver: StartDriver
) -> None:
    file = tmp_path / "temporal.toml"
    file.write_text(f"[profile.default.tls]\n{THE_ONE} = {value}\n")
    with refused("THB_CONFIG", str(file), THE_ONE):
        start_driver("c").connect({"address": stranger.address, "config_file": str(file)})


def test_host_verification_stays_on_with_keys_of_other_programs(
    stranger: Endpoint, tmp_path: Path, start_driver: StartDriver
) -> None:
    """The loader ignores unknown keys."""
    file = tmp_path / "temporal.toml"
    file.write_text(f"[profile.default]\n{THE_ONE} = true\n[profile.default.tls]\ndisableHostVerification = true\n")
    with refused("THB_TLS", "signed"):
        start_driver("c").connect({"address": stranger.address, "config_file": str(file)})


def test_proxy_variables_of_other_programs_are_ignored(
    server: Server, start: StartActivity, start_driver: StartDriver
) -> None:
    """Such variables are often set for web access, and that proxy doesn't lead to an internal server."""
    names = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "GRPC_PROXY"]
    variables = dict.fromkeys([*names, *map(str.lower, names)], "http://127.0.0.1:1")
    driver = start_driver("c", variables)
    driver.connect({"address": server.address})
    assert driver.heartbeat(start("workflow").next_attempt().token, 41) == Signals.NONE
