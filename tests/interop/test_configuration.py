"""The same variables and the same `temporal.toml`, read by the loaders of the official SDKs and by the library."""

import base64
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from temporalio.envconfig import ClientConfigProfile

from harness.languages import crate_example, library_environment
from interop.programs import go_configuration

Variables = Mapping[str, str]
Configuration = dict[str, Any]


class Option(NamedTuple):
    """An option: its place in the file and in the environment, and values in the syntax of both."""

    key: str
    variable: str
    values: tuple[tuple[str, str], tuple[str, str]]


def text(key: str, variable: str, *values: str) -> Option:
    one, other = values
    return Option(key, variable, ((f'"{one}"', one), (f'"{other}"', other)))


TLS = "TEMPORAL_TLS_"
OPTIONS = [
    text("address", "TEMPORAL_ADDRESS", "one.example:1", "other.example:2"),
    text("namespace", "TEMPORAL_NAMESPACE", "one", "other"),
    text("api_key", "TEMPORAL_API_KEY", "one", "other"),
    text("authority", "TEMPORAL_CLIENT_AUTHORITY", "one.example", "other.example"),
    text("grpc_meta.X_Team", "TEMPORAL_GRPC_META_X_TEAM", "one", "other"),
    text("tls.server_name", f"{TLS}SERVER_NAME", "one.example", "other.example"),
    Option("tls.disabled", "TEMPORAL_TLS", (("true", "False"), ("false", "1"))),
    Option("tls.disable_host_verification", f"{TLS}DISABLE_HOST_VERIFICATION", (("true", "TRUE"), ("false", "0"))),
    text("tls.server_ca_cert_path", f"{TLS}SERVER_CA_CERT_PATH", "/one", "/other"),
    text("tls.server_ca_cert_data", f"{TLS}SERVER_CA_CERT_DATA", "one", "other"),
    text("tls.client_cert_path", f"{TLS}CLIENT_CERT_PATH", "/one", "/other"),
    text("tls.client_cert_data", f"{TLS}CLIENT_CERT_DATA", "one", "other"),
    text("tls.client_key_path", f"{TLS}CLIENT_KEY_PATH", "/one", "/other"),
    text("tls.client_key_data", f"{TLS}CLIENT_KEY_DATA", "one", "other"),
]
IDS = [option.key for option in OPTIONS]
# The library refuses a certificate without its key, like Go.
PARTNERS = {
    "tls.client_cert_path": {f"{TLS}CLIENT_KEY_DATA": "key"},
    "tls.client_cert_data": {f"{TLS}CLIENT_KEY_PATH": "/key"},
    "tls.client_key_path": {f"{TLS}CLIENT_CERT_DATA": "certificate"},
    "tls.client_key_data": {f"{TLS}CLIENT_CERT_PATH": "/certificate"},
}
# Options that the Python SDK doesn't read, or drops after reading.
ONLY_GO = {"authority", "tls.disable_host_verification"}


def toml(key: str, value: str, profile: str = "default") -> str:
    table, _, name = f"profile.{profile}.{key}".rpartition(".")
    return f"[{table}]\n{name} = {value}\n"


def in_file(tmp_path: Path, content: str, more: Variables | None = None) -> dict[str, str]:
    file = tmp_path / "temporal.toml"
    file.write_text(content)
    return {"TEMPORAL_CONFIG_FILE": str(file), **(more or {})}


def ours(variables: Variables, options: Mapping[str, Any] | None = None) -> Configuration:
    command = [*crate_example("options"), json.dumps(options or {})]
    return _printed(command, variables)


def of_python(variables: Variables) -> Configuration:
    profile = ClientConfigProfile.load(override_env_vars={**variables, "XDG_CONFIG_HOME": "/nonexistent"})
    tls = profile.tls.to_dict() if profile.tls else {}
    secured = not tls.get("disabled") and (profile.tls is not None or bool(profile.api_key))
    sources: Mapping[str, Any] = tls
    return _configuration(
        profile.address,
        profile.namespace,
        profile.api_key,
        {
            f"{name}_{kind}": value
            for name in ("server_ca_cert", "client_cert", "client_key")
            for kind, value in (sources.get(name) or {}).items()
        }
        | {"server_name": tls.get("server_name")}
        if secured
        else None,
        profile.grpc_meta,
    )


def of_go(variables: Variables) -> Configuration:
    printed = _printed(go_configuration(), variables)
    if "profile" not in printed:
        return printed
    profile = printed["profile"]
    tls = profile["TLS"] or {}
    secured = not tls.get("Disabled") and (profile["TLS"] is not None or bool(profile["APIKey"]))
    names = {"ServerCACert": "server_ca_cert", "ClientCert": "client_cert", "ClientKey": "client_key"}
    sources: dict[str, Any] = {}
    for theirs, name in names.items():
        sources[f"{name}_path"] = tls.get(f"{theirs}Path")
        sources[f"{name}_data"] = base64.b64decode(tls.get(f"{theirs}Data") or "").decode()
    flags = {
        "server_name": tls.get("ServerName"),
        "disable_host_verification": tls.get("DisableHostVerification", False),
    }
    return _configuration(
        profile["Address"],
        profile["Namespace"],
        profile["APIKey"],
        sources | flags if secured else None,
        profile["GRPCMeta"] or {},
        profile["Authority"],
    )


def _configuration(
    address: str | None,
    namespace: str | None,
    api_key: str | None,
    tls: Mapping[str, Any] | None,
    grpc_meta: Mapping[str, str],
    authority: str | None = None,
) -> Configuration:
    """Returns the SDK's configuration in the library's format, with the library's defaults."""
    address = address or "127.0.0.1:7233"
    return {
        "address": address,
        "namespace": namespace or "default",
        "authority": authority or address,
        "api_key": api_key or None,
        "tls": None
        if tls is None
        else {
            "disable_host_verification": False,
            **{name: value for name, value in tls.items() if value not in (None, "")},
            "server_name": tls.get("server_name") or address.rpartition(":")[0],
        },
        "grpc_meta": dict(grpc_meta),
    }


def _printed(command: list[str], variables: Variables) -> Configuration:
    environment = library_environment() | dict(variables)
    text = subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout
    printed: Configuration = json.loads(text)
    return printed


def differs(variables: Variables, *, only_go: bool = False) -> str:
    """Returns where the SDKs and the library differ, or an empty text."""
    mine, go = ours(variables), of_go(variables)
    python = mine if only_go else of_python(variables)
    return "" if mine == go == python else f"{variables}: {mine} here, {go} in Go, {python} in Python"


@pytest.mark.parametrize("option", OPTIONS, ids=IDS)
def test_each_option_in_each_place(option: Option, tmp_path: Path) -> None:
    partner = PARTNERS.get(option.key, {})
    only_go = option.key in ONLY_GO
    for (in_toml, _), (_, in_variable) in (option.values, option.values[::-1]):
        assert not differs(in_file(tmp_path, toml(option.key, in_toml), partner), only_go=only_go)
        assert not differs(in_file(tmp_path, "", {option.variable: in_variable, **partner}), only_go=only_go)
        # The variable wins.
        both = in_file(tmp_path, toml(option.key, in_toml), {option.variable: in_variable, **partner})
        assert not differs(both, only_go=only_go)


@pytest.mark.parametrize("option", OPTIONS[:5], ids=IDS[:5])
def test_empty_variable_clears_the_option_of_the_file(option: Option, tmp_path: Path) -> None:
    variables = in_file(tmp_path, toml(option.key, option.values[0][0]), {option.variable: ""})
    assert not differs(variables, only_go=option.key in ONLY_GO)


def test_explicit_option_wins_over_all_others(tmp_path: Path) -> None:
    for option in OPTIONS:
        (in_toml, _), (_, in_variable) = option.values
        variables = in_file(tmp_path, toml(option.key, in_toml), {option.variable: in_variable})
        group, _, name = option.key.rpartition(".")
        third: Any = {"tls.disabled": True, "tls.disable_host_verification": True, "address": "third.example:3"}.get(
            option.key, "third.example"
        )
        partner = {"client_cert_data": "x"} if "key" in name else {"client_key_data": "x"} if "client" in name else {}
        given = {group: {name: third, **partner}} if group else {name: third}
        read = ours(variables, given)
        shown = json.dumps(read)
        assert "error" not in read, (option.key, read)
        assert "one" not in shown.replace("none", ""), (option.key, read)
        assert read["tls"] is None if option.key == "tls.disabled" else "third" in shown or "true" in shown, read


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"TEMPORAL_TLS": "true"},
        {"TEMPORAL_API_KEY": "key"},
        {"TEMPORAL_API_KEY": "key", "TEMPORAL_TLS": "false"},
        {"TEMPORAL_TLS_SERVER_NAME": "a.example", "TEMPORAL_TLS": "0"},
        {"TEMPORAL_GRPC_META_A_B": "1", "TEMPORAL_GRPC_META_a_b_c": "2"},
    ],
    ids=str,
)
def test_variables_together(variables: Variables) -> None:
    assert not differs(variables)


PROFILES = """
top_level_key_of_tomorrow = 1
[profile.default]
address = "default.example:1"
[profile.prod]
address = "prod.example:1"
key_of_tomorrow = "value"
api_key = "key"
[profile.prod.tls]
[profile.plain]
api_key = "key"
tls = { disabled = true, server_name = "a.example" }
grpc_meta = { Some_Key = "a", other-key = "b" }
codec = { endpoint = "http://127.0.0.1:1", auth = "x" }
[profile.empty]
"""


@pytest.mark.parametrize("profile", ["", "default", "prod", "plain", "empty"])
def test_profiles(profile: str, tmp_path: Path) -> None:
    assert not differs(in_file(tmp_path, PROFILES, {"TEMPORAL_PROFILE": profile}))


def test_default_file_is_in_the_users_directory(tmp_path: Path) -> None:
    file = tmp_path / "temporalio" / "temporal.toml"
    file.parent.mkdir()
    file.write_text(PROFILES)
    variables = {"XDG_CONFIG_HOME": str(tmp_path), "TEMPORAL_PROFILE": "prod"}
    assert ours(variables) == of_go(variables)
    at_home = tmp_path / ".config"
    at_home.mkdir()
    file.parent.rename(at_home / "temporalio")
    variables = {"XDG_CONFIG_HOME": "", "HOME": str(tmp_path), "TEMPORAL_PROFILE": "prod"}
    assert ours(variables) == of_go(variables)
    assert ours(variables)["address"] == "prod.example:1"


def test_missing_file_of_the_environment_is_ignored(tmp_path: Path) -> None:
    assert not differs({"TEMPORAL_CONFIG_FILE": str(tmp_path / "missing.toml")})
    # A file that the caller's own code names must exist.
    missing = ours({}, {"config_file": str(tmp_path / "missing.toml")})
    assert "options.config_file" in missing["error"]


def both(name: str) -> str:
    return f'[profile.default.tls]\n{name}_path = "/p"\n{name}_data = "d"\n'


SOURCES = ["server_ca_cert", "client_cert", "client_key"]
ERRORS: dict[str, tuple[str, Variables, str]] = {
    "profile that is missing": (PROFILES, {"TEMPORAL_PROFILE": "nobodys"}, "prod"),
    "profile without a file": ("", {"TEMPORAL_PROFILE": "nobodys"}, "TEMPORAL_PROFILE"),
    "no TOML": ("[profile.default\n", {}, "line 1"),
    "key twice": ('[profile.default]\naddress = "a:1"\naddress = "b:1"\n', {}, "line 3"),
    "address of another kind": (toml("address", "1"), {}, "profile.default.address"),
    "flag of another kind": (toml("tls.disabled", '"yes"'), {}, "profile.default.tls.disabled"),
    "header of another kind": (toml("grpc_meta.a", "1"), {}, "profile.default.grpc_meta"),
    "table of another kind": (toml("tls", "true"), {}, "profile.default.tls"),
    **{f"{name} twice in the file": (both(name), {}, f"{name}_path") for name in SOURCES},
    **{
        f"{name} twice in the environment": (
            "",
            {f"{TLS}{name.upper()}_PATH": "/p", f"{TLS}{name.upper()}_DATA": "d"},
            f"{TLS}{name.upper()}_PATH",
        )
        for name in SOURCES
    },
    **{
        f"{name} here and there": (
            toml(f"tls.{name}_{one}", '"x"'),
            {f"{TLS}{name.upper()}_{other.upper()}": "y"},
            f"{TLS}{name.upper()}_{other.upper()}",
        )
        for name in SOURCES
        for one, other in [("path", "data")]
    },
}


@pytest.mark.parametrize(("content", "more", "cause"), ERRORS.values(), ids=ERRORS.keys())
def test_each_error(content: str, more: Variables, cause: str, tmp_path: Path) -> None:
    variables = in_file(tmp_path, content, more)
    assert cause in ours(variables)["error"]
    with pytest.raises(RuntimeError):
        ClientConfigProfile.load(override_env_vars=dict(variables))
    assert "error" in _printed(go_configuration(), variables)


def test_file_that_is_a_directory(tmp_path: Path) -> None:
    variables = {"TEMPORAL_CONFIG_FILE": str(tmp_path)}
    assert "TEMPORAL_CONFIG_FILE" in ours(variables)["error"]
    assert "error" in of_go(variables)


def test_error_hides_the_secret_of_a_broken_file(tmp_path: Path) -> None:
    broken = in_file(tmp_path, '[profile.default]\napi_key = "not-to-be-seen\n')
    assert "not-to-be-seen" not in ours(broken)["error"]


def test_options_that_the_sdks_ignore_are_errors() -> None:
    """Checks the differences that docs/options.md lists."""
    misspelt = {"TEMPORAL_TLS": "yes"}
    assert "TEMPORAL_TLS must be true or false" in ours(misspelt)["error"]
    assert of_go(misspelt)["tls"] is None
    # An empty variable of TLS counts as unset. The SDKs turn TLS on.
    assert ours({f"{TLS}SERVER_NAME": ""})["tls"] is None
    assert of_go({f"{TLS}SERVER_NAME": ""})["tls"] is not None
