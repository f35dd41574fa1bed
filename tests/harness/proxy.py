"""A TCP proxy between driver and server that loses what it is told to lose. It knows nothing of what it carries."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from enum import Enum

_CHUNK = 65536


class Fault(Enum):
    NONE = "everything passes"
    LOSE_ANSWERS = "requests pass, nothing comes back"
    LOSE_REQUEST = "the next thing that a client says is lost, and its connection with it; then everything passes"


class Proxy(AbstractContextManager["Proxy"]):
    def __init__(self, server_port: int, port: int = 0) -> None:
        self._server = ("127.0.0.1", server_port)
        self._listener = socket.create_server(("127.0.0.1", port))
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._fault = Fault.NONE
        self._struck = threading.Event()
        self._passable = threading.Event()
        self._passable.set()
        self.port: int = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"

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

    def cut(self) -> None:
        """Closes all connections; what they had still to say is lost. The ones that come after them work."""
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            connection.mute = True
        self._fault = Fault.NONE
        for connection in connections:
            connection.end()

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
            for pump in (self._pump_requests, self._pump_answers):
                threading.Thread(target=pump, args=(connection,), name="proxy", daemon=True).start()

    def _pump_requests(self, connection: "_Connection") -> None:
        for data in _chunks(connection.client):
            self._passable.wait()
            if self._fault is Fault.LOSE_REQUEST:
                self._fault = Fault.NONE
                self._struck.set()
                break
            _send(connection.server, data)
        connection.end()
        connection.client.close()

    def _pump_answers(self, connection: "_Connection") -> None:
        for data in _chunks(connection.server):
            self._passable.wait()
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
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def end(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _chunks(source: socket.socket) -> Iterator[bytes]:
    """What comes in, until the connection ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            yield data


def _send(target: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        target.sendall(data)
