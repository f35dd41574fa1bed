"""A TCP proxy between driver and server that loses data on request. It doesn't parse the data."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from enum import Enum
from pathlib import Path

_CHUNK = 65536
# How many bytes of each chunk a slow connection passes one by one, and the time between them.
_SLOW_BYTES = 16
_BYTE_SECONDS = 0.005


def _listener_at(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


class Fault(Enum):
    NONE = "everything passes"
    LOSE_ANSWERS = "requests pass, answers are lost"
    LOSE_REQUEST = "the next data of a client is lost and its connection closed; then everything passes"


class Proxy(AbstractContextManager["Proxy"]):
    """Listens on a port of ``host``, or at ``path`` in the file system."""

    def __init__(
        self,
        server_port: int,
        port: int = 0,
        host: str = "127.0.0.1",
        receive_buffer: int = 0,
        path: Path | None = None,
        record: bool = False,
    ) -> None:
        """With ``record``, keeps a copy of everything that passes."""
        self._streams: list[bytearray] | None = [] if record else None
        self._server = ("127.0.0.1", server_port)
        self._listener = socket.create_server((host, port)) if path is None else _listener_at(path)
        if receive_buffer:  # accepted sockets inherit it
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._fault = Fault.NONE
        self._struck = threading.Event()
        self._bytes_until_held: int | None = None
        self._passable = threading.Event()
        self._passable.set()
        self.port: int = 0 if path else self._listener.getsockname()[1]
        self.address = f"unix:{path}" if path else f"{host}:{self.port}"

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # close() alone doesn't wake the thread that is in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._passable.set()

    @property
    def recorded(self) -> list[bytes]:
        """Returns the data that has passed, of each connection and each direction."""
        assert self._streams is not None, "record is false"
        with self._lock:
            return [bytes(stream) for stream in self._streams]

    def lose_answers(self) -> None:
        """Loses everything that the server sends from now on, on all connections, until `cut`."""
        self._fault = Fault.LOSE_ANSWERS

    def lose_next_request(self) -> None:
        """Loses the next data that a client sends."""
        self._struck.clear()
        self._fault = Fault.LOSE_REQUEST

    def wait_until_lost(self, timeout: float = 10.0) -> None:
        assert self._struck.wait(timeout), "no data arrived to be lost"

    def become_a_black_hole(self) -> None:
        """Holds back all data in both directions, without closing connections, until `heal`; then the data arrives."""
        self._passable.clear()

    def heal(self) -> None:
        self._passable.set()

    def stop_reading(self) -> None:
        """Stops reading from the current connections until `resume_reading`. Later connections pass.

        Data beyond this end's receive buffer stays in the send buffer of the client's kernel.
        """
        for connection in self._snapshot():
            connection.readable.clear()

    def stop_reading_after(self, answer_bytes: int) -> None:
        """Stops reading on all connections, including later ones, once the server has sent this many more bytes."""
        self._bytes_until_held = answer_bytes

    def resume_reading(self) -> None:
        self._bytes_until_held = None
        for connection in self._snapshot():
            connection.readable.set()

    def slow_down(self) -> None:
        """Passes the end of each chunk from a client one byte at a time, on the current connections.

        The frames after a request thus reach the server later than the request, as on a path with a long round trip.
        """
        for connection in self._snapshot():
            connection.slow = True

    def cut(self) -> None:
        """Closes all connections and loses their unsent data. Later connections work."""
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            connection.mute = True
        self._fault = Fault.NONE
        for connection in connections:
            connection.end()

    def _snapshot(self) -> "list[_Connection]":
        with self._lock:
            return list(self._connections)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
            except OSError:
                return  # the proxy or the server has ended
            connection = _Connection(client, server)
            with self._lock:
                self._connections.add(connection)
            if self._bytes_until_held is not None and self._bytes_until_held <= 0:
                connection.readable.clear()
            for pump in (self._pump_requests, self._pump_answers):
                threading.Thread(target=pump, args=(connection,), name="proxy", daemon=True).start()

    def _pump_requests(self, connection: "_Connection") -> None:
        for data in self._record(_chunks(connection.client, connection.readable)):
            self._passable.wait()
            if self._fault is Fault.LOSE_REQUEST:
                self._fault = Fault.NONE
                self._struck.set()
                break
            tail = len(data) - _SLOW_BYTES if connection.slow else len(data)
            _send(connection.server, data[: max(tail, 0)])
            for byte in data[max(tail, 0) :]:
                time.sleep(_BYTE_SECONDS)
                _send(connection.server, bytes([byte]))
        connection.end()
        connection.client.close()

    def _pump_answers(self, connection: "_Connection") -> None:
        for data in self._record(_chunks(connection.server, _ALWAYS)):
            self._passable.wait()
            if self._bytes_until_held is not None:
                self._bytes_until_held -= len(data)
                if self._bytes_until_held <= 0:
                    self.stop_reading()
            if self._fault is not Fault.LOSE_ANSWERS and not connection.mute:
                _send(connection.client, data)
        connection.end()
        connection.server.close()

    def _record(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        stream = bytearray()
        if self._streams is not None:
            with self._lock:
                self._streams.append(stream)
        for data in chunks:
            if self._streams is not None:
                stream += data
            yield data


class _Connection:
    """Two sockets. Each is closed by the thread that reads from it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.mute = False
        self.slow = False
        self.readable = threading.Event()
        self.readable.set()
        for end in (client, server):
            if end.family != socket.AF_UNIX:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def end(self) -> None:
        self.readable.set()
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


_ALWAYS = threading.Event()
_ALWAYS.set()


def _chunks(source: socket.socket, readable: threading.Event) -> Iterator[bytes]:
    """Yields the received data until the connection ends. Nothing is read while `readable` is clear."""
    with contextlib.suppress(OSError):
        while True:
            select.select([source], [], [])
            readable.wait()
            if not (data := source.recv(_CHUNK)):
                return
            yield data


def _send(target: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        target.sendall(data)
