"""The codec of the current connection, and the calls that it encodes values for.

The library sends the bytes of a call over the connection that exists when the call reaches it. The
codec that `connect` got for that connection must have encoded those bytes. This module ensures that
with a *binding*: the codec of one `connect`, or None. One is active at a time, by two rules:

1. Only `connect_with_codec` and `submit_connect` activate a binding: before the native connect,
   while the process has no connection, and while no other connect runs. So a connection has the
   same binding from start to end. A refused connect (`AlreadyConnectedError`), a disconnect and a
   fork keep the binding.
2. If a binding encoded the values of a native call, the call starts only while that binding is
   active. `connect_with_codec` waits for the end of these calls before the native connect. A
   submitted call ends for this rule when it is submitted: it belongs to the connection then.

By rule 2 no connection is made while a call of an earlier binding is inside the library. By rule 1
each connection that a call can reach was made with the call's own binding. After a disconnect the
last binding stays active, and its calls raise `NotConnectedError`.

An exception at any point, such as KeyboardInterrupt, doesn't break the rules: before the activation
the earlier binding is valid; after it there is no connection yet, or one with the new binding.

An activity or a call can have its own codec, which replaces that of the binding.
`Binding.codec_for` returns the codec for one activity, with its serialization context. A handle
never outlives its connection. So an activity keeps the codec that it was opened with, and its later
calls don't use this module.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Mapping
from typing import Any, Callable, Optional, TypeVar

from . import _abi, errors
from ._codec import Codec
from ._context import SerializationContext
from ._invoke import invoke, read_text

__all__ = [
    "Binding",
    "active_binding",
    "add_connect_options",
    "add_lock_of_calls",
    "connect_with_codec",
    "discard_lock_of_calls",
    "invoke_encoded",
    "invoke_with_binding",
    "submit_connect",
]

T = TypeVar("T")
V = TypeVar("V")

# Calls of an earlier binding end at once, because there is no connection. The only exception reads
# a task token from a descriptor, for which the library allows 10 seconds.
_EARLIER_CALLS_TIMEOUT_S = 15.0


class Binding:
    """The codec of one `connect`, and its options about codecs."""

    def __init__(
        self,
        codec: Optional[Codec] = None,
        *,
        namespace: Optional[str] = None,
        encode_common_attributes: Optional[bool] = None,
        require_encoded: bool = False,
        connect_options: Optional[Mapping[str, Any]] = None,
    ) -> None:
        self.codec = codec
        # The arguments of the connect, except the codec, and of later `reconfigure` calls.
        self.connect_options = dict(connect_options or {})
        self._namespace = namespace
        self._encode_common_attributes = encode_common_attributes
        self._require_encoded = require_encoded

    def codec_for(
        self,
        own_codec: Optional[Codec],
        context: Callable[[str], SerializationContext],
        *,
        require_encoded: bool = False,
    ) -> Optional[Codec]:
        """Returns the codec for one activity; None: its values are sent unencoded.

        ``context`` returns the activity's context for the name of the connection's namespace.
        """
        codec = own_codec or self.codec
        if codec is None:
            return None
        return codec.bound(
            lambda: context(_namespace_in_use() if self._namespace is None else self._namespace),
            require_encoded=require_encoded or self._require_encoded,
            encode_common_attributes=self._encode_common_attributes,
        )


_active = Binding()

# One lock for each call inside the library, held until the call ends, and one for each queue, held
# while it submits a call. No lock guards the set: a signal handler that makes a call could find
# that its own thread holds it. Adding, discarding and copying are atomic.
_calls_inside: set[threading.Lock] = set()

_connect_lock = threading.Lock()

# Returns whether the last submitted connect is still in progress.
_is_connecting: Callable[[], bool] = bool


def active_binding() -> Binding:
    return _active


def add_connect_options(changed: Mapping[str, Any]) -> None:
    """Notes options that `reconfigure` has changed. In a dict each key is an option."""
    options = _active.connect_options
    for name, value in changed.items():
        before = options.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            options[name] = {**before, **value}
        else:
            options[name] = value


def add_lock_of_calls() -> threading.Lock:
    """Returns a lock. While a caller holds it, no other binding is used for a connection."""
    lock = threading.Lock()
    _calls_inside.add(lock)
    return lock


def discard_lock_of_calls(lock: threading.Lock) -> None:
    _calls_inside.discard(lock)


def connect_with_codec(binding: Binding, native: ctypes.CDLL, connect: Callable[[], T]) -> T:
    """Activates a binding, and then makes the native connect.

    Raises `AlreadyConnectedError`, and keeps the binding of that connection active.
    """
    with _connect_lock:
        _activate(binding, native)
        return connect()


def submit_connect(
    binding: Binding,
    native: ctypes.CDLL,
    submit: Callable[[], T],
    is_connecting: Callable[[], bool],
) -> T:
    """Activates a binding, and then submits the native connect.

    ``is_connecting`` returns whether the submitted connect is in progress; before, it returns
    False. Until it has ended, other connects raise `AlreadyConnectedError`. So does this one while
    another thread is connecting: waiting for that thread would block the event loop.
    """
    global _is_connecting
    if not _connect_lock.acquire(blocking=False):
        raise errors.AlreadyConnectedError("another thread is connecting")
    try:
        _activate(binding, native)
        _is_connecting = is_connecting
        return submit()
    finally:
        _connect_lock.release()


def _activate(binding: Binding, native: ctypes.CDLL) -> None:
    """Activates a binding, and waits for the calls of the binding before. Needs `_connect_lock`."""
    global _active
    if _is_connecting():
        raise errors.AlreadyConnectedError("an event loop of this process is connecting")
    if _is_connected(native):
        raise errors.AlreadyConnectedError(
            "the process is already connected; disconnect first to change the connection"
        )
    # First the binding, then the copy of the set. A call uses the opposite order. So either it
    # sees the new binding, or the copy contains it.
    _active = binding
    for call_inside in tuple(_calls_inside):
        if not call_inside.acquire(timeout=_EARLIER_CALLS_TIMEOUT_S):
            raise errors.TimeoutError("calls that were made before this connect haven't ended")
        call_inside.release()


def invoke_encoded(
    encode: Callable[[Optional[Codec]], V],
    call: Callable[[ctypes.CDLL, V, Any], tuple[int, T]],
    *,
    may_block: bool,
    codec: Optional[Codec],
    context: Callable[[str], SerializationContext],
    require_encoded: bool = False,
) -> T:
    """Makes a call as `invoke` does, with values that ``codec`` or its connection's codec encoded.

    ``encode(codec)`` returns the values for ``call(library, values, error_out)``. It gets the codec
    for the activity with this context. If the active codec changes in between, nothing has been
    sent, and the values are encoded again.
    """
    while True:
        binding = _active
        try:
            values = encode(binding.codec_for(codec, context, require_encoded=require_encoded))
            return invoke(_bound(call, values, binding), may_block=may_block)
        except _BindingReplacedError:
            continue


def invoke_with_binding(
    call: Callable[[ctypes.CDLL, Binding, Any], tuple[int, T]],
) -> tuple[Binding, T]:
    """Makes a call that never waits, such as one that opens a handle.

    Returns the binding of its connection too, with which the handle's values must be encoded.
    """
    while True:
        binding = _active
        try:
            return binding, invoke(_bound(call, binding, binding), may_block=False)
        except _BindingReplacedError:
            continue


class _BindingReplacedError(Exception):
    """Another binding was activated before the call started."""


def _bound(
    call: Callable[[ctypes.CDLL, V, Any], tuple[int, T]], values: V, binding: Binding
) -> Callable[[ctypes.CDLL, Any], tuple[int, T]]:
    """Returns a call for `invoke`. It raises `_BindingReplacedError` if the binding is inactive."""

    def bound(native: ctypes.CDLL, error: Any) -> tuple[int, T]:
        call_inside = threading.Lock()
        with call_inside:
            _calls_inside.add(call_inside)
            try:
                if binding is not _active:
                    raise _BindingReplacedError
                return call(native, values, error)
            finally:
                _calls_inside.discard(call_inside)

    return bound


def _is_connected(native: ctypes.CDLL) -> bool:
    # A timeout of 0 sends nothing. The status shows whether there is a connection.
    details = _abi.DetailsPtr()
    status: int = native.thb_get_details(b"-", 1, 0, ctypes.byref(details), None)
    return status != _abi.Status.NOT_CONNECTED


def _namespace_in_use() -> str:
    """Returns the namespace of the connection, which a profile may have named; "" without one.

    The metrics have it as a label.
    """
    found = re.search(rb'namespace="([^"]*)"', read_text("thb_get_metrics", may_block=False))
    return found[1].decode() if found else ""


def _reset_after_fork() -> None:
    """The threads that held these locks don't exist in a forked child."""
    global _connect_lock, _is_connecting
    _connect_lock = threading.Lock()
    _is_connecting = bool
    _calls_inside.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
