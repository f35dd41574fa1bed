"""Reads from a client of Temporal's Python SDK how another process connects to the same server."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from temporalio.client import Client
from temporalio.converter import DataConverter

from ..errors import InvalidArgumentError

__all__ = ["ConverterParts", "connect_options", "portable_converter"]


class ConverterParts:
    """A DataConverter that can be pickled: the objects it makes itself are made again."""

    def __init__(self, converter: DataConverter) -> None:
        self._kind = type(converter)
        self._fields = {
            field.name: getattr(converter, field.name)
            for field in dataclasses.fields(converter)
            if field.init
        }

    def assemble(self) -> DataConverter:
        return self._kind(**self._fields)


def portable_converter(given: Any, client: Client) -> Any:
    """Returns the ``data_converter`` of the decorator, or that of the client, for another process.

    None means the default one of the SDK, to which this package's conversion is equal.
    """
    if isinstance(given, str):
        module, _, name = given.partition(":")
        if not module or not name:
            raise InvalidArgumentError(
                f'the data_converter {given!r} isn\'t a name such as "package.module:name"'
            )
        return given
    converter = client.data_converter if given is None else given
    if not isinstance(converter, DataConverter):
        return converter
    return None if converter == DataConverter.default else ConverterParts(converter)


def connect_options(client: Client) -> dict[str, Any]:
    """Returns the arguments of `temporal_heartbeat.connect`, without a codec.

    Raises `InvalidArgumentError` for an option that `connect` doesn't have.
    """
    config = client.service_client.config
    scheme, _, address = config.target_host.rpartition("://")
    options = {
        "address": address,
        "namespace": client.namespace,
        "identity": client.identity,
        "api_key": config.api_key,
        "tls": _tls_options(config, scheme),
        "grpc_meta": _metadata(config.rpc_metadata) or None,
        # The client has read its own file.
        "config_file": os.devnull,
        # The client's DataConverter encodes, not the codec server of the environment.
        "codec_endpoint": "",
    }
    if config.http_connect_proxy_config is not None:
        options["proxy"] = _proxy_options(config.http_connect_proxy_config)
    return {name: value for name, value in options.items() if value is not None}


def _tls_options(config: Any, scheme: str) -> dict[str, Any]:
    tls = config.tls
    # As the SDK does: an API key turns TLS on.
    is_enabled = bool(tls) or scheme == "https" or (tls is None and config.api_key is not None)
    if not is_enabled:
        return {"disabled": True}
    options: dict[str, Any] = {"disabled": False}
    if tls is None or isinstance(tls, bool):
        return options
    if getattr(tls, "verification_server_name", None):
        raise InvalidArgumentError(
            "the client's TLSConfig has a verification_server_name, which a process apart doesn't"
            " support: pass connect={'tls': {...}} to apart"
        )
    options["server_name"] = tls.domain
    names = {
        "server_root_ca_cert": "server_ca_cert_data",
        "client_cert": "client_cert_data",
        "client_private_key": "client_key_data",
    }
    for theirs, ours in names.items():
        data = getattr(tls, theirs)
        options[ours] = data.decode() if data else None
    return {name: value for name, value in options.items() if value is not None}


def _metadata(metadata: Mapping[str, Any]) -> dict[str, str]:
    for name, value in metadata.items():
        if not isinstance(value, str):
            raise InvalidArgumentError(
                f"the client's header {name} is binary, which a process apart doesn't support: pass"
                " connect={'grpc_meta': {...}} to apart"
            )
    return dict(metadata)


def _proxy_options(proxy: Any) -> dict[str, str]:
    options = {"target_host": proxy.target_host}
    if proxy.basic_auth:
        user, password = proxy.basic_auth
        options.update(basic_auth_user=user, basic_auth_password=password)
    return options
