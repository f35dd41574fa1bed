"""The codec of the connection in force, and the calls whose values it has to encode.

The library sends the bytes that a call gives it, over the connection that there is when the call
reaches it. Those bytes must be the work of the codec that `connect` was given for that connection.
What makes sure of that is a *link*: the codec of one `connect`, or None. One link is in force at a
time, and two rules hold:

1. Only `connect_with` puts a link in force: before the native connect, while the process has no
   connection, and while no other `connect_with` runs. So a connection has the same link from its
   first moment to its last. A connect that is refused (`AlreadyConnected`), a disconnect, and a
   fork leave the link as it is.
2. A native call whose values a link encoded begins only while that link is in force, and
   `connect_with` waits for the end of those calls before the native connect.

By rule 2 no connection is made while a call of an earlier link is within the library. So each
connection that a call can meet was made with the call's own link, by rule 1. After a disconnect the
last link stays in force, and a call under it raises `NotConnected`.

An exception, such as KeyboardInterrupt, changes nothing about that at any point: before the link
is put in force the earlier one holds; after it there is no connection yet, or the new link's.

A handle never outlives its connection: an activity keeps the codec that it was opened with, and
needs none of this for its calls.
"""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Any, Callable, Optional, TypeVar

from . import _abi
from ._codec import Codec
from ._invoke import invoke
from .errors import AlreadyConnected, Status, Timeout

__all__ = ["call_encoded", "connect_with", "link_in_force"]

T = TypeVar("T")
V = TypeVar("V")

# Calls of an earlier link end at once: there is no connection. Only one that reads a task token
# from a descriptor may take the 10 seconds that the library gives it.
_PATIENCE_S = 15.0


class Link:
    """The codec of one `connect`; None: values are sent as they are."""

    def __init__(self, codec: Optional[Codec]) -> None:
        self.codec = codec


_link = Link(None)

# One lock for each call that is within the library, held until the call's end. Nothing guards the
# set, for a signal handler that calls could find its own thread holding that guard: adding,
# removing and copying are atomic.
_calls: set[threading.Lock] = set()

_connecting = threading.Lock()


def link_in_force() -> Link:
    return _link


def connect_with(codec: Optional[Codec], native: ctypes.CDLL, connect: Callable[[], T]) -> T:
    """Put a codec in force, and then make the native connect.

    Raises `AlreadyConnected`, and leaves the codec of that connection in force.
    """
    global _link
    with _connecting:
        if _is_connected(native):
            raise AlreadyConnected("the process has its client; to change it, disconnect first")
        # First the link, then the copy of the set. A call does it the other way round. So either it
        # sees the new link, or it is in the copy.
        _link = Link(codec)
        for under_way in tuple(_calls):
            if not under_way.acquire(timeout=_PATIENCE_S):
                raise Timeout("calls that were made before this connect haven't ended")
            under_way.release()
        return connect()


def call_encoded(
    encode: Callable[[Optional[Codec]], V],
    call: Callable[[ctypes.CDLL, V, Any], tuple[int, T]],
    *,
    may_block: bool = True,
) -> T:
    """Make a call as `invoke` does, with values that the codec of its connection has encoded.

    ``encode(codec)`` makes the values, and ``call(library, values, error_out)`` passes them on. If
    the codec changes in between, nothing has been sent, and the values are encoded again.
    """
    while True:
        link = _link
        try:
            return invoke(_bound(call, encode(link.codec), link), may_block=may_block)
        except _Replaced:
            continue


class _Replaced(Exception):
    """Another link was put in force before the call began."""


def _bound(
    call: Callable[[ctypes.CDLL, V, Any], tuple[int, T]], values: V, link: Link
) -> Callable[[ctypes.CDLL, Any], tuple[int, T]]:
    """The call for `invoke`, which raises `_Replaced` unless the link is in force all the time."""

    def bound(native: ctypes.CDLL, error: Any) -> tuple[int, T]:
        under_way = threading.Lock()
        with under_way:
            _calls.add(under_way)
            try:
                if link is not _link:
                    raise _Replaced
                return call(native, values, error)
            finally:
                _calls.discard(under_way)

    return bound


def _is_connected(native: ctypes.CDLL) -> bool:
    # With a timeout of 0 nothing is sent, and the status tells whether something could be.
    details = _abi.DetailsPtr()
    status: int = native.thb_get_details(b"-", 1, 0, ctypes.byref(details), None)
    return status != Status.NOT_CONNECTED


def _forget_threads() -> None:
    """In a forked child: the threads that held these locks don't exist there."""
    global _connecting
    _connecting = threading.Lock()
    _calls.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
