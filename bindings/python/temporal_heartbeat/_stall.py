"""The options of stalls, and the stacks of all threads: also while a thread holds the GIL.

The library sends a signal at the stall, and reads what `faulthandler` writes. Its handler is
written in C, and needs neither the GIL nor the event loop.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any, Optional

from .errors import ConfigError, InvalidArgumentError

__all__ = ["STATUS_ENCODING", "check_stall_options", "stall_options"]

# A lone surrogate must not make a status an error.
STATUS_ENCODING = ("utf-8", "replace")

# Linux's fcntl.F_SETPIPE_SZ, which older versions of Python don't have, and its usual limit.
_F_SETPIPE_SZ = 1031
_PIPE_BYTES = 1 << 20

# The pipes by signal: the read end, and the write end. They exist as long as the process, because
# the handler stays registered.
_pipes: dict[int, tuple[int, int]] = {}
_lock = threading.Lock()


def check_stall_options(action: Optional[str], stall_signal: Optional[int]) -> None:
    """Refuses a signal that the library would never send."""
    if stall_signal is not None and action in (None, "stop"):
        raise InvalidArgumentError(
            'stall_signal needs stall_action="fail" or "warn": "stop" reports no stacks'
        )


def stall_options(
    action: Optional[str], report: Optional[str], stall_signal: Optional[int]
) -> Mapping[str, Any]:
    """Returns the library's options. Registers the handler of the signal."""
    check_stall_options(action, stall_signal)
    options: dict[str, Any] = {"stall_action": action, "stall_report": report}
    if stall_signal is not None:
        options["stall_signal"] = int(stall_signal)
        options["stall_stack_fd"] = _read_end(int(stall_signal))
    return options


def _read_end(number: int) -> int:
    with _lock:
        if number not in _pipes:
            _pipes[number] = _register(number)
        return _pipes[number][0]


def _register(number: int) -> tuple[int, int]:
    try:
        previous = signal.getsignal(number)
    except ValueError as error:
        raise InvalidArgumentError(f"stall_signal is {number}, which is no signal") from error
    is_default = previous in (signal.SIG_DFL, signal.SIG_IGN)
    if previous is None or (is_default and _is_caught(number)):
        raise ConfigError(
            f"stall_signal is {number}, for which faulthandler or a library has a handler already:"
            " choose another signal"
        )
    reader, writer = os.pipe()
    try:
        # A full pipe must not block the interrupted thread. But the thread that gets the signal
        # is often the last one that is written.
        os.set_blocking(writer, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(writer, _F_SETPIPE_SZ, _PIPE_BYTES)
        faulthandler.register(number, file=writer, all_threads=True, chain=not is_default)
    except (OSError, RuntimeError, ValueError) as error:
        os.close(reader)
        os.close(writer)
        message = f"faulthandler can't be registered for the signal {number}: {error}"
        raise ConfigError(message) from error
    return reader, writer


def _is_caught(number: int) -> bool:
    """Returns whether the signal has a handler, also one that Python doesn't know."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
            caught = next(line for line in lines if line.startswith("SigCgt:"))
    except (OSError, StopIteration):
        return False
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def _forget() -> None:
    """In a child of `os.fork`, whose stacks must not get into the pipe of its parent."""
    global _lock
    _lock = threading.Lock()
    for number, ends in _pipes.items():
        faulthandler.unregister(number)
        for end in ends:
            os.close(end)
    _pipes.clear()


if hasattr(os, "register_at_fork") and sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget)
