"""The calls of the library that never wait, made as cheaply as ctypes can.

Two things make an ordinary call through ctypes slow: it converts each argument as the prototype
asks, and it gives the GIL away, which another thread may then keep for milliseconds. Neither is
needed for a call that takes some ten nanoseconds. So these functions have no prototypes: each
argument must come as the ctypes object that the prototype names, or as bytes, None or a C int. And
they keep the GIL, of which the library knows nothing.
"""

from __future__ import annotations

import ctypes
import functools

from . import _abi

__all__ = ["LENGTHS", "MAX_DATA", "Quick", "quick"]

MAX_DATA = 16 * 1024
"""The most bytes that are worth it: more take so long to check that others should have the GIL."""

LENGTHS = tuple(ctypes.c_size_t(length) for length in range(512))
"""The usual lengths as the library takes them: to make one is a good part of a call's time."""


class Quick:
    """The functions themselves, of one library."""

    def __init__(self, native: ctypes.CDLL) -> None:
        # The library that is loaded already, by its handle, not by its path.
        keeping_the_gil = ctypes.PyDLL(native._name, handle=native._handle)

        def function(name: str) -> ctypes._NamedFuncPointer:
            found = keeping_the_gil[name]
            found.restype, _ = _abi.PROTOTYPES[name]
            return found

        self.heartbeat = function("thb_activity_heartbeat")
        self.touch = function("thb_activity_touch")
        self.get_signals = function("thb_activity_get_signals")
        self.close = function("thb_activity_close")


@functools.lru_cache(maxsize=1)
def quick(native: ctypes.CDLL) -> Quick:
    return Quick(native)
