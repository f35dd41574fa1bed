"""A gRPC endpoint with TLS in front of the real server. It checks credentials and forwards accepted calls."""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

# The tests fork to start programs. gRPC's own fork handlers would interfere.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc

from harness.certificates import Authority, Pair

_LARGEST = 64 * 1024 * 1024
_OWN = ("grpc-", ":", "user-agent", "content-type", "te")


class Endpoint(AbstractContextManager["Endpoint"]):
    """A test may change which clients it accepts while it runs: `api_key`, `denied`, `trust`."""

    def __init__(
        self,
        server_address: str,
        pair: Pair,
        *,
        clients_of: Authority | None = None,
        connection_age: float | None = None,
    ) -> None:
        self.api_key: str | None = None
        self.denied: frozenset[str] = frozenset()
        self.refusals = 0
        self._lock = threading.Lock()
        self._calls: list[tuple[str, dict[str, str | bytes], str]] = []
        self._pair = pair
        self._clients_of = clients_of
        self._upstream = grpc.insecure_channel(server_address, [("grpc.max_receive_message_length", _LARGEST)])
        options: list[tuple[str, int]] = [("grpc.max_receive_message_length", _LARGEST), ("grpc.so_reuseport", 0)]
        if connection_age is not None:
            options.append(("grpc.max_connection_age_ms", int(connection_age * 1000)))
            options.append(("grpc.max_connection_age_grace_ms", 5000))
        self._server = grpc.server(ThreadPoolExecutor(64), options=options)
        self._server.add_generic_rpc_handlers((_Handler(self._relay),))
        credentials = grpc.dynamic_ssl_server_credentials(
            self._configuration(), self._configuration, require_client_authentication=clients_of is not None
        )
        self.port: int = self._server.add_secure_port("127.0.0.1:0", credentials)
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self) -> "Endpoint":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=0).wait()
        self._upstream.close()

    def trust(self, authority: Authority) -> None:
        """Accepts only clients of this authority from now on."""
        self._clients_of = authority

    def metadata(self, method: str) -> dict[str, str | bytes]:
        """Returns the headers of the last request of a method."""
        with self._lock:
            return next(metadata for name, metadata, _ in reversed(self._calls) if name == method)

    def peers(self) -> set[str]:
        """Returns the connections on which requests arrived."""
        with self._lock:
            return {peer for _, _, peer in self._calls}

    def _configuration(self) -> Any:
        roots = self._clients_of.pem if self._clients_of else None
        return grpc.ssl_server_certificate_configuration([(self._pair.key, self._pair.cert)], roots)

    def _relay(self, path: str, metadata: Iterable[tuple[str, str | bytes]], request: bytes, context: Any) -> Any:
        method = path.rsplit("/", 1)[1]
        given = dict(metadata)
        with self._lock:
            self._calls.append((method, given, context.peer()))
        if self.api_key is not None and given.get("authorization") != f"Bearer {self.api_key}":
            with self._lock:
                self.refusals += 1
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the API key isn't known here")
        if method in self.denied:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{method} isn't allowed")
        call: Any = self._upstream.unary_unary(path)
        passed_on = tuple((name, value) for name, value in given.items() if not name.startswith(_OWN))
        try:
            return call(request, timeout=context.time_remaining(), metadata=passed_on)
        except grpc.RpcError as error:
            refused: Any = error
            context.set_trailing_metadata(refused.trailing_metadata())
            context.abort(refused.code(), refused.details())


class _Handler(grpc.GenericRpcHandler):
    """Handles every call as bytes."""

    def __init__(self, relay: Callable[..., Any]) -> None:
        self._relay = relay

    def service(self, details: Any) -> Any:
        def answer(request: bytes, context: Any) -> Any:
            return self._relay(details.method, details.invocation_metadata, request, context)

        return grpc.unary_unary_rpc_method_handler(answer)
