"""Invalid options and variables are errors that name the option. The message never contains a secret."""

from typing import Any

import pytest

from harness.driver import Bytes, Raw, refused
from harness.fixtures import StartActivity, StartDriver
from harness.server import Server
from harness.signals import Signals

BAD_OPTIONS: dict[str, tuple[Bytes, tuple[str, ...]]] = {
    "no JSON": (b"127.0.0.1:7233", ("JSON",)),
    "cut off": (b'{"address": "a:1"', ("JSON",)),
    "no object": (b'["address"]', ("object",)),
    "more than one": (b"{} {}", ("JSON",)),
    "invalid UTF-8": (b'{"address": "\xff:1"}', ("UTF-8",)),
    "unknown key": (b'{"adress": "a:1"}', ("adress", "address", "namespace", "identity", "connect_timeout_ms", "lazy")),
    "key in other letters": (b'{"Address": "a:1"}', ("Address",)),
    "duplicate key": (b'{"address": "a:1", "address": "a:1"}', ("address",)),
    "wrong type": (b'{"address": 7233}', ("address",)),
    "truth as a word": (b'{"lazy": "true"}', ("lazy",)),
    "fraction": (b'{"connect_timeout_ms": 0.5}', ("connect_timeout_ms",)),
    "negative": (b'{"connect_timeout_ms": -1}', ("connect_timeout_ms",)),
    "over INT32_MAX": (b'{"connect_timeout_ms": 2147483648}', ("connect_timeout_ms",)),
    "no port": (b'{"address": "127.0.0.1"}', ("address", "port")),
    "port of another world": (b'{"address": "127.0.0.1:70000"}', ("address", "port")),
    "URL": (b'{"address": "http://127.0.0.1:7233"}', ("address",)),
    "empty address": (b'{"address": ""}', ("address",)),
    "empty namespace": (b'{"namespace": ""}', ("namespace",)),
    "too deep": (b'{"identity": ' + b"[" * 20 + b"]" * 20 + b"}", ("16",)),
    "over 1 MiB": (b'{"identity": "' + b"x" * (1 << 20) + b'"}', ("1048576",)),
}


@pytest.mark.parametrize(("options", "causes"), BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
def test_bad_options_are_refused_by_name(options: Bytes, causes: tuple[str, ...], start_driver: StartDriver) -> None:
    with refused("THB_CONFIG", *causes):
        start_driver("c").connect(options)


@pytest.mark.parametrize("options", [Raw("-@5"), Raw(f"7b7d@{2**63}")], ids=["NULL with a length", "too long"])
def test_options_that_are_not_bytes(options: Raw, start_driver: StartDriver) -> None:
    with refused("THB_INVALID_ARGUMENT", "options"):
        start_driver("c").connect(options)


@pytest.mark.parametrize(
    "options",
    [
        b"{}",
        b".",
        b'{"address": null, "namespace": null, "identity": null, "lazy": null, "connect_timeout_ms": null}',
        b' {"connect_timeout_ms": 1e4, "lazy": false}\n',
        b'{"connect_timeout_ms": 10000.0}',
    ],
)
def test_absent_options_are_read_from_the_environment(
    options: bytes, server: Server, start: StartActivity, start_driver: StartDriver
) -> None:
    driver = start_driver("c", {"TEMPORAL_ADDRESS": server.address})
    driver.connect(Raw(".") if options == b"." else options)
    assert driver.heartbeat(start("workflow").next_attempt().token, 41) == Signals.NONE


SECRET = "not-to-be-seen"

MISUSED_SECRETS: list[tuple[str, Any]] = [
    ("api_key", [SECRET]),
    ("api_key", f"{SECRET} {SECRET}"),
    ("api_key", f"{SECRET}\u00e9"),
    ("grpc_meta", {"x-token": [SECRET]}),
    ("grpc_meta", {"x-token": f"{SECRET}\n"}),
    ("grpc_meta", {"grpc-token": SECRET}),
    ("tls", SECRET),
    ("tls", {"client_key_data": SECRET}),
    ("tls", {"client_key_data": SECRET, "client_cert_data": SECRET}),
    ("tls", {"server_ca_cert_data": SECRET}),
    ("proxy", {"basic_auth_password": SECRET}),
    ("proxy", {"target_host": f"user:{SECRET}@127.0.0.1:1"}),
]


@pytest.mark.parametrize(("option", "value"), MISUSED_SECRETS)
def test_wrong_secret_is_not_in_the_message(
    option: str, value: object, server: Server, start_driver: StartDriver
) -> None:
    with refused("THB_CONFIG", f"options.{option}") as refusal:
        start_driver("c").connect({"address": server.address, option: value})
    assert SECRET not in refusal.message


VARIABLES = [
    "TEMPORAL_CONFIG_FILE",
    "TEMPORAL_PROFILE",
    "TEMPORAL_API_KEY",
    "TEMPORAL_TLS",
    "TEMPORAL_TLS_CLIENT_CERT_PATH",
    "TEMPORAL_TLS_CLIENT_CERT_DATA",
    "TEMPORAL_TLS_CLIENT_KEY_PATH",
    "TEMPORAL_TLS_CLIENT_KEY_DATA",
    "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
    "TEMPORAL_TLS_SERVER_CA_CERT_DATA",
    "TEMPORAL_TLS_SERVER_NAME",
    "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
    "TEMPORAL_GRPC_META_AUTHORIZATION",
]


def test_empty_variables_are_ignored(
    language: str, server: Server, start: StartActivity, start_driver: StartDriver
) -> None:
    driver = start_driver(language, dict.fromkeys([*VARIABLES, "TEMPORAL_NAMESPACE"], ""))
    driver.connect({"address": server.address})
    assert driver.heartbeat(start("workflow").next_attempt().token, 41) == Signals.NONE


@pytest.mark.parametrize("address", ["127.0.0.1", "http://127.0.0.1:7233", ":7233x"])
def test_bad_address_in_the_environment_names_the_variable(
    language: str, address: str, start_driver: StartDriver
) -> None:
    with refused("THB_CONFIG", "TEMPORAL_ADDRESS"):
        start_driver(language, {"TEMPORAL_ADDRESS": address}).connect({})
