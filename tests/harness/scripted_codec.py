"""A codec server whose answers a test scripts. Its codec isn't secret, but hides every planted word.

A record names its script: {"script": NAME, ...}. So one process can have many activities, each with another fault.
"""

import base64
import contextlib
import json
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads

from harness.certificates import Pair
from harness.process import SILENCE_LIMIT_S

ENCODING = b"binary/scripted"
_MASK = 0x5A
_MANY = 1000
_TLS_HANDSHAKE = b"\x16"
_JSON = {"Content-Type": "application/json"}


def encode(values: Payloads) -> Payloads:
    """Returns one hidden value for each value."""
    hidden = [_masked(one.SerializeToString()) for one in values.payloads]
    return Payloads(payloads=[Payload(metadata={"encoding": ENCODING}, data=data) for data in hidden])


def decode(values: Payloads) -> Payloads:
    """Returns the values that were hidden. Fails for others."""
    assert all(one.metadata["encoding"] == ENCODING for one in values.payloads), values
    return Payloads(payloads=[Payload.FromString(_masked(one.data)) for one in values.payloads])


def _masked(data: bytes) -> bytes:
    return bytes(byte ^ _MASK for byte in data)


def content(values: Payloads) -> list[Any]:
    """Returns the values of JSON payloads."""
    return [json.loads(one.data) for one in values.payloads]


@dataclass
class Request:
    """A request, and the ways to answer it."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    # How many requests its connection has carried before.
    earlier: int
    server: "ScriptedCodec"
    connection: socket.socket = field(repr=False)

    @property
    def values(self) -> Payloads:
        return json_format.Parse(self.body, Payloads())

    def script(self) -> str:
        """Returns the name of the script for this request."""
        if not self.path.endswith("/encode"):
            return ""
        first = json.loads(self.values.payloads[0].data or b"null")
        return str(first.get("script", "")) if isinstance(first, dict) else ""

    def convert(self) -> None:
        """Answers as a codec server should."""
        convert = encode if self.path.endswith("/encode") else decode
        self.answer(200, to_json(convert(self.values)))

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] = _JSON) -> None:
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        head = f"HTTP/1.1 {status} Scripted\r\nContent-Length: {len(body)}\r\n{''.join(lines)}\r\n"
        self.send(head.encode() + body)

    def send(self, data: bytes) -> None:
        # Noted before, because the client may send the next request before this thread continues.
        self.server.note_answer(self)
        with contextlib.suppress(OSError):
            self.connection.sendall(data)

    def close(self) -> None:
        """Ends the connection."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def to_json(values: Payloads) -> bytes:
    return json_format.MessageToJson(values, indent=None).encode()


Script = Callable[[Request], None]


class ScriptedCodec(AbstractContextManager["ScriptedCodec"]):
    """The server, on a port of the local address; with `pair`, by https."""

    def __init__(self, pair: Pair | None = None) -> None:
        self._tls: ssl.SSLContext | None = None
        if pair:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(pair.cert_path, pair.key_path)
        self._scripts: dict[str, Script] = {}
        self._changed = threading.Condition()
        self._requests: dict[str, list[Request]] = defaultdict(list)
        self._connections: set[socket.socket] = set()
        self._busy: set[int] = set()
        # The most requests that were being answered at one time.
        self.most_at_once = 0
        self.port = 0

    def __enter__(self) -> "ScriptedCodec":
        self.begin_listening()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_down()

    @property
    def endpoint(self) -> str:
        """Returns the value for the option `codec_endpoint`."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/{{namespace}}"

    def script(self, name: str, script: Script) -> None:
        """Makes the requests of this name follow a script."""
        self._scripts[name] = script

    def heal(self) -> None:
        """Forgets all scripts, and closes all connections, like a server that is restarted."""
        self._scripts.clear()
        self._cut()

    def go_down(self) -> None:
        """Refuses connections."""
        # close() alone doesn't wake the thread that is in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._cut()

    def begin_listening(self) -> None:
        """Accepts connections, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=_MANY)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), name="codec", daemon=True).start()

    def requests(self, script: str) -> list[Request]:
        """Returns the requests of this name so far."""
        with self._changed:
            return list(self._requests[script])

    def wait_for(self, script: str, count: int) -> list[Request]:
        """Waits until there were so many requests of this name."""
        with self._changed:
            found = self._changed.wait_for(lambda: len(self._requests[script]) >= count, SILENCE_LIMIT_S)
            assert found, f"{len(self._requests[script])} requests of {script!r} instead of {count}"
            return list(self._requests[script])

    def note_answer(self, request: Request) -> None:
        """Notes that a request is no longer being answered."""
        with self._changed:
            self._busy.discard(id(request))

    def _cut(self) -> None:
        with self._changed:
            connections, self._connections = self._connections, set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), name="codec", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._changed:
            self._connections.add(connection)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(connection.close)
            if self._tls:
                wrapped = self._tls.wrap_socket(connection, server_side=True)
                stack.callback(wrapped.close)
                with self._changed:
                    self._connections.add(wrapped)
                connection = wrapped
            elif connection.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return
            for request in self._read(connection):
                self._handle(request)

    def _handle(self, request: Request) -> None:
        name = request.script()
        with self._changed:
            self._requests[name].append(request)
            self._busy.add(id(request))
            self.most_at_once = max(self.most_at_once, len(self._busy))
            self._changed.notify_all()
        try:
            self._scripts.get(name, Request.convert)(request)
        finally:
            self.note_answer(request)

    def _read(self, connection: socket.socket) -> Iterator[Request]:
        stream = connection.makefile("rb")
        for earlier in range(_MANY * _MANY):
            line = stream.readline()
            if not line:
                return
            _, path, _ = line.decode().split(" ")
            headers = {}
            while (header := stream.readline().decode().rstrip("\r\n")) != "":
                name, value = header.split(": ", 1)
                headers[name.lower()] = value
            body = stream.read(int(headers["content-length"]))
            yield Request(path, headers, body, earlier, self, connection)


# ---- scripts ----


def status(number: int, **headers: str) -> Script:
    """Answers with an HTTP status, and repeats the request, as careless servers do."""
    return lambda request: request.answer(number, request.body, headers)


def body(text: bytes) -> Script:
    """Answers with this body."""
    return lambda request: request.answer(200, text)


def hold(request: Request) -> None:
    """Doesn't answer until the server is healed."""
    with contextlib.suppress(OSError):
        request.connection.recv(1)


def slow(seconds: float) -> Script:
    """Answers after a time."""

    def answer(request: Request) -> None:
        # Ends early if the connection ends.
        request.connection.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            request.connection.recv(1)
        request.connection.settimeout(None)
        request.convert()

    return answer


def number_of_values(count: int) -> Script:
    """Answers with another number of values."""

    def answer(request: Request) -> None:
        one = encode(request.values).payloads[0]
        request.answer(200, to_json(Payloads(payloads=[one] * count)))

    return answer


def large(megabytes: int) -> Script:
    """Answers with a value of this size."""

    def answer(request: Request) -> None:
        data = base64.b64encode(bytes(megabytes << 20)).decode()
        encoding = base64.b64encode(ENCODING).decode()
        value = {"metadata": {"encoding": encoding}, "data": data}
        request.answer(200, json.dumps({"payloads": [value]}).encode())

    return answer


def half_an_answer(request: Request) -> None:
    """Closes the connection in the middle of an answer."""
    request.send(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"payloads":[')
    request.close()


def no_answer(request: Request) -> None:
    """Closes the connection instead of answering."""
    request.close()


def readable(request: Request) -> None:
    """Answers with the values as they came."""
    request.answer(200, request.body)


def then_close(request: Request) -> None:
    """Answers, and closes the connection without announcing it."""
    request.convert()
    request.close()


def only_once(request: Request) -> None:
    """Answers the first request of a connection, and never another one."""
    if request.earlier == 0:
        request.convert()
    else:
        hold(request)
