"""The completion queue of an event loop: calls of the server that need no thread.

A call is submitted to the library, and its task awaits a future. The event loop polls the queue's
descriptor. One wake-up of the event loop takes the completions of all calls that have ended.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any, Callable, Optional, TypeVar

from . import _abi
from ._active_codec import (
    Binding,
    active_binding,
    add_lock_of_calls,
    discard_lock_of_calls,
    submit_connect,
)
from ._codec import Codec
from ._context import context_of
from ._details import read_details
from ._event_loop import EventLoop, Future, PerLoop, Polled, run_in_thread, running_loop
from ._fast_calls import MAX_FAST_BYTES, fast_function, size
from ._invoke import read_error
from ._library import library
from .errors import Error

__all__ = ["Queue", "running_queue", "with_codec"]

T = TypeVar("T")

# The completions that are taken at once.
_MAX_COMPLETIONS = ctypes.c_size_t(1024)


class Queue(Polled):
    """The calls that an event loop has submitted. Used only in its event loop."""

    def __init__(self, loop: EventLoop) -> None:
        # The calls whose completions weren't taken, by their numbers.
        self._calls: dict[int, Future] = {}
        # Those of them that read details.
        self._reading: set[int] = set()
        self._last_number = 0
        self._connect_number = 0
        native = self._native = library()
        self._submit_heartbeat = fast_function(native, "thb_queue_submit_heartbeat")
        self._next = fast_function(native, "thb_queue_next")
        # Each is the argument of one call at a time.
        self._number = ctypes.c_uint64(0)
        self._completions = _abi.CompletionsPtr()
        self._completions_out = ctypes.byref(self._completions)
        self._error = _abi.ErrorPtr()
        self._error_out = ctypes.byref(self._error)
        self._lock = add_lock_of_calls()
        try:
            super().__init__("queue", loop)
        except BaseException:
            discard_lock_of_calls(self._lock)
            raise

    async def call(self, name: str, *arguments: Any) -> Any:
        """Calls a C function, without waiting for its end in this thread.

        The arguments are all except the outputs. Returns the signals or the `RawDetails` that the
        function outputs. Cancelling the task cancels the call: what wasn't sent yet never will be.
        """
        return await self._result(self._submit_call_of(name, *arguments))

    async def call_encoded(
        self,
        name: str,
        token: bytes,
        encode: Callable[[Optional[Codec]], tuple[Any, ...]],
        timeout_ms: int,
        own_codec: Optional[Codec],
    ) -> tuple[Any, Optional[Codec]]:
        """Makes a call with values that ``own_codec`` or the connection's codec encodes.

        Calls as `call` does, with the token, the arguments of ``encode(codec)`` and the timeout.
        Returns the result and the codec.
        """
        while True:
            binding = active_binding()
            codec = binding.codec_for(own_codec, functools.partial(context_of, token))
            encoded = encode(codec) if codec is None else await with_codec(codec, encode)
            with self._lock:
                if binding is not active_binding():
                    continue  # nothing was sent
                if name == "thb_heartbeat" and encoded[2] <= MAX_FAST_BYTES:
                    encoding, data, length = encoded
                    number = self._submit(
                        self._submit_heartbeat,
                        token,
                        size(len(token)),
                        encoding,
                        data,
                        size(length),
                        timeout_ms,
                    )
                else:
                    number = self._submit_call_of(name, token, len(token), *encoded, timeout_ms)
            return await self._result(number), codec

    async def connect(self, binding: Binding, options: bytes) -> None:
        """Connects with a codec. When it is cancelled, the connect has ended too."""

        def submit() -> int:
            self._connect_number = self._last_number + 1
            return self._submit_call_of("thb_connect", options, len(options))

        number = submit_connect(binding, self._native, submit, self._is_connecting)
        try:
            await self._result(number)
        finally:
            self._end_connect()

    def close(self) -> None:
        # The newest first: a call that waits for an earlier one of its token must not be sent.
        for number in sorted(self._calls, reverse=True):
            self._cancel(number)
        self._end_connect()
        discard_lock_of_calls(self._lock)
        super().close()

    def _submit_call_of(self, name: str, *arguments: Any) -> int:
        """Submits a call of the C function of this name."""
        function = getattr(self._native, name.replace("thb_", "thb_queue_submit_", 1))
        number = self._submit(function, *arguments)
        if name.endswith("get_details"):
            self._reading.add(number)
        return number

    def _submit(self, function: Callable[..., int], *arguments: Any) -> int:
        """Submits a call and returns its number. Raises the error of the submission."""
        number = self._last_number = self._last_number + 1
        self._calls[number] = self._loop.create_future()
        self._number.value = number
        status = -1
        try:
            status = function(self._handle, self._number, *arguments, self._error_out)
        finally:
            if status:
                del self._calls[number]
        if status:
            raise self._take_error(status)
        return number

    async def _result(self, number: int) -> Any:
        try:
            return await self._calls[number]
        except BaseException:
            if number in self._calls:
                self._cancel(number)
            raise

    def _cancel(self, number: int) -> None:
        self._native.thb_queue_cancel(self._handle, number, None)

    def _handle_events(self) -> None:
        self._take_completions(self._next, 0)

    def _take_completions(self, next_function: Callable[..., int], timeout_ms: int) -> None:
        status = next_function(
            self._handle, _MAX_COMPLETIONS, timeout_ms, self._completions_out, self._error_out
        )
        if status:
            raise self._take_error(status)
        native, completions = self._native, self._completions
        if not completions:
            return
        try:
            count = native.thb_completions_count(completions)
            statuses = native.thb_completions_statuses(completions)[:count]
            signals = native.thb_completions_signals(completions)[:count]
            for index, number in enumerate(native.thb_completions_user_data(completions)[:count]):
                call = self._calls.pop(number, None)
                is_reading = number in self._reading
                self._reading.discard(number)
                if call is None or call.done() or self._loop.is_closed():
                    continue  # its task was cancelled, or its event loop closed
                if statuses[index]:
                    error = native.thb_completions_error(completions, index)
                    call.set_exception(read_error(native, statuses[index], error))
                elif is_reading:
                    details = native.thb_completions_details(completions, index)
                    call.set_result(read_details(native, details))
                else:
                    call.set_result(signals[index])
        finally:
            native.thb_completions_free(completions)

    def _take_error(self, status: int) -> Error:
        try:
            return read_error(self._native, status, self._error)
        finally:
            self._native.thb_error_free(self._error)

    def _is_connecting(self) -> bool:
        """Whether this event loop is connecting. Any thread may ask."""
        if self.is_dead:
            _queues.close_dead()
        return self._connect_number in self._calls

    def _end_connect(self) -> None:
        """Ends a connect that is in progress, which takes no more than a moment."""
        if self._connect_number in self._calls:
            self._cancel(self._connect_number)
        while self._connect_number in self._calls:
            self._take_completions(self._native.thb_queue_next, _abi.FOREVER)


_queues = PerLoop(Queue)


def running_queue() -> Queue:
    """Returns the queue of the event loop that runs the caller."""
    return _queues.get(running_loop())


async def with_codec(codec: Optional[Codec], function: Callable[[Optional[Codec]], T]) -> T:
    """Returns ``function(codec)``. If the codec has coroutines, the function runs in a thread."""
    if codec is not None and codec.has_coroutines:
        return await run_in_thread(functools.partial(function, codec))
    return function(codec)
