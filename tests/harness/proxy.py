"""A TCP proxy between driver and server that loses what it is told to lose. It knows nothing of what it carries."""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from enum import Enum

_CHUNK = 65536
# How many bytes of each chunk a slow connection passes one by one, and how far apart.
_SLOW_BYTES = 16
_BYTE_SECONDS = 0.005


class Fault(Enum):
    NONE = "everything passes"
    LOSE_ANSWERS = "requests pass, nothing comes back"
    LOSE_REQUEST = "the next thing that a client says is lost, and its connection with it; then everything passes"


class Proxy(AbstractContextManager["Proxy"]):
    def __init__(self, server_port: int, port: int = 0, host: str = "127.0.0.1", receive_buffer: int = 0) -> None:
        self._server = ("127.0.0.1", server_port)
        self._listener = socket.create_server((host, port))
        if receive_buffer:  # accepted sockets inherit it
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._fault = Fault.NONE
        self._struck = threading.Event()
        self._bytes_until_held: int | None = None
        self._passable = threading.Event()
        self._passable.set()
        self.port: int = self._listener.getsockname()[1]
        self.address = f"{host}:{self.port}"

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # close() alone doesn't wake the thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._passable.set()

    def lose_answers(self) -> None:
        """From now on what the server says gets lost, on all connections, until `cut`."""
        self._fault = Fault.LOSE_ANSWERS

    def lose_next_request(self) -> None:
        """The next thing that a client says never arrives."""
        self._struck.clear()
        self._fault = Fault.LOSE_REQUEST

    def wait_until_lost(self, timeout: float = 10.0) -> None:
        assert self._struck.wait(timeout), "nothing was there to lose"

    def become_a_black_hole(self) -> None:
        """From now on nothing passes in either direction, and nobody is told, until `heal`; then it arrives."""
        self._passable.clear()

    def heal(self) -> None:
        self._passable.set()

    def stop_reading(self) -> None:
        """Reads nothing more from the connections that there are, until `resume_reading`. Later connections pass.

        What doesn't fit into this end's receive buffer stays in the send buffer of the client's kernel.
        """
        for connection in self._snapshot():
            connection.readable.clear()

    def stop_reading_after(self, answer_bytes: int) -> None:
        """Does so on all connections, later ones too, once the server has sent this many bytes more."""
        self._bytes_until_held = answer_bytes

    def resume_reading(self) -> None:
        self._bytes_until_held = None
        for connection in self._snapshot():
            connection.readable.set()

    def slow_down(self) -> None:
        """Passes the end of each thing that a client says on the connections that there are a byte at a time.

        So the frames behind a request reach the server after the request, as they do on a path with a long round trip.
        """
        for connection in self._snapshot():
            connection.slow = True

    def cut(self) -> None:
        """Closes all connections; what they had still to say is lost. The ones that come after them work."""
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
                return  # the proxy, or the server, is no more
            connection = _Connection(client, server)
            with self._lock:
                self._connections.add(connection)
            if self._bytes_until_held is not None and self._bytes_until_held <= 0:
                connection.readable.clear()
            for pump in (self._pump_requests, self._pump_answers):
                threading.Thread(target=pump, args=(connection,), name="proxy", daemon=True).start()

    def _pump_requests(self, connection: "_Connection") -> None:
        for data in _chunks(connection.client, connection.readable):
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
        for data in _chunks(connection.server, _ALWAYS):
            self._passable.wait()
            if self._bytes_until_held is not None:
                self._bytes_until_held -= len(data)
                if self._bytes_until_held <= 0:
                    self.stop_reading()
            if self._fault is not Fault.LOSE_ANSWERS and not connection.mute:
                _send(connection.client, data)
        connection.end()
        connection.server.close()


class _Connection:
    """Two sockets, each closed by the thread that reads from it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.mute = False
        self.slow = False
        self.readable = threading.Event()
        self.readable.set()
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def end(self) -> None:
        self.readable.set()
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


_ALWAYS = threading.Event()
_ALWAYS.set()


def _chunks(source: socket.socket, readable: threading.Event) -> Iterator[bytes]:
    """What comes in, until the connection ends. Nothing is read while `readable` is clear."""
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
