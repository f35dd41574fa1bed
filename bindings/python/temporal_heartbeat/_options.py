"""The options that are objects of options, for type checkers; docs/options.md describes them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Optional, TypedDict, Union

__all__ = ["KeepaliveOptions", "ProxyOptions", "RetryOptions", "TlsOptions", "options_json"]

_Path = Union[str, "os.PathLike[str]"]


class TlsOptions(TypedDict, total=False):
    """How the connection is secured: `connect(tls=...)`."""

    disabled: bool
    server_ca_cert_path: _Path
    server_ca_cert_data: str
    client_cert_path: _Path
    client_cert_data: str
    client_key_path: _Path
    client_key_data: str
    server_name: str
    disable_host_verification: bool


class ProxyOptions(TypedDict, total=False):
    """The HTTP proxy to connect through: `connect(proxy=...)`."""

    target_host: str
    basic_auth_user: str
    basic_auth_password: str


class KeepaliveOptions(TypedDict, total=False):
    """How to notice that a connection is dead: `connect(keepalive=...)`."""

    disabled: bool
    interval_ms: int
    timeout_ms: int


class RetryOptions(TypedDict, total=False):
    """How calls are tried again: `connect(retry=...)`."""

    disabled: bool
    initial_interval_ms: int
    multiplier: float
    max_interval_ms: int
    randomization_factor: float
    max_retries: int


def options_json(options: Mapping[str, Optional[Any]]) -> bytes:
    """What was given, as the library reads it."""
    given = {name: value for name, value in options.items() if value is not None}
    return json.dumps(given, default=os.fspath).encode()
