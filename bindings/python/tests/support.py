"""Servers that fail in a known way, and the check of a test's requirements."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


def requires(what: str, there: bool) -> None:
    """Skips the test if a requirement is missing; with THB_REQUIRE_ALL=1 the test fails."""
    if there:
        return
    if os.environ.get("THB_REQUIRE_ALL") == "1":
        pytest.fail(f"needs {what}")
    pytest.skip(f"SKIPPED: needs {what}")


class BlackHole:
    """A server that accepts connections and never answers."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(20)
        self._taken: list[socket.socket] = []
        self.address = "{}:{}".format(*self._listener.getsockname())

    def wait_for_request(self) -> None:
        """Returns when a client has connected and sent something."""
        connection, _ = self._listener.accept()
        self._taken.append(connection)
        connection.settimeout(20)
        assert connection.recv(1)

    def close(self) -> None:
        for connection in (*self._taken, self._listener):
            connection.close()


class Recorder:
    """A server that stores every received byte, and sends an empty answer to each request.

    An empty answer means success to connect and to a heartbeat. A heartbeat whose token contains
    ``signals-5.`` gets the signals with the bits 5, and those of ``further_signals``.
    """

    _SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
    # WINDOW_UPDATE: the client may send any amount.
    _LARGE_WINDOW = b"\0\0\x04\x08\0\0\0\0\0" + (2**31 - 2**16).to_bytes(4, "big")
    _DATA, _HEADERS, _END_STREAM, _END_HEADERS = 0, 1, 1, 4
    # HPACK: ":status: 200" by its index, then literal names and values.
    _HEAD = b"\x88" + b"\0\x0ccontent-type\x10application/grpc"
    _TRAILERS = b"\0\x0bgrpc-status\x010"

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._listener.getsockname())
        self._received = bytearray()
        self._requests = 0
        self._more = threading.Condition()
        self.further_signals = 0
        self.answers = threading.Event()
        self.answers.set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def received(self) -> bytes:
        with self._more:
            return bytes(self._received)

    def wait_for(self, data: bytes) -> None:
        """Return when these bytes have been received."""
        with self._more:
            assert self._more.wait_for(lambda: data in self._received, 20), f"{data!r} never came"

    def wait_for_requests(self, count: int) -> None:
        """Return when so many requests have been received."""
        with self._more:
            assert self._more.wait_for(lambda: self._requests >= count, 20), "no request came"

    def close(self) -> None:
        self.answers.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as requests:
            connection.sendall(self._SETTINGS + self._LARGE_WINDOW)
            requests.read(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
            signals: dict[bytes, int] = {}  # by the stream
            while head := requests.read(9):
                content = requests.read(int.from_bytes(head[:3], "big"))
                if found := re.search(rb"signals-(\d)\.", content):
                    signals[head[5:9]] = int(found[1]) | self.further_signals
                complete = head[3] == self._DATA and bool(head[4] & self._END_STREAM)
                with self._more:
                    self._received += content
                    self._requests += complete
                    self._more.notify_all()
                if complete:
                    answer = self._answer(head[5:9], signals.pop(head[5:9], 0))
                    if self.answers.is_set():
                        self._send(connection, answer)
                    else:  # in a thread, to receive more requests
                        threading.Thread(
                            target=self._send, args=(connection, answer), daemon=True
                        ).start()

    def _send(self, connection: socket.socket, answer: bytes) -> None:
        self.answers.wait()
        with contextlib.suppress(OSError):
            connection.sendall(answer)

    def _answer(self, stream: bytes, signals: int) -> bytes:
        def frame(kind: int, flags: int, content: bytes) -> bytes:
            return len(content).to_bytes(3, "big") + bytes((kind, flags)) + stream + content

        # The fields of the response: 1 cancel_requested, 2 activity_paused, 3 activity_reset.
        fields = b"".join(bytes((bit + 1 << 3, 1)) for bit in range(3) if signals & 1 << bit)
        return (
            frame(self._HEADERS, self._END_HEADERS, self._HEAD)
            + frame(self._DATA, 0, bytes((0, 0, 0, 0, len(fields))) + fields)
            + frame(self._HEADERS, self._END_HEADERS | self._END_STREAM, self._TRAILERS)
        )
