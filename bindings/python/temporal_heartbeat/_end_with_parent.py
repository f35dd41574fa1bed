"""Ends a process of a pool when the process that started the pool ends."""

from __future__ import annotations

import fcntl
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from typing import Any

__all__ = ["end_group_with_parent", "end_with_parent"]

# From <fcntl.h>: the module fcntl doesn't have it before Python 3.12.
_F_SETSIG = 10


def end_with_parent() -> None:
    """Make this process end when the process that started it ends or is killed.

    ::

        with ProcessPoolExecutor(initializer=thb.end_with_parent) as pool:
            ...

    Call it at the start of each process of ``multiprocessing`` or ``concurrent.futures``. Without
    it, the processes of a pool continue to work when the process that started them is killed, and
    the next attempt does the same work at the same time.

    On Linux the kernel kills the process, even if it hangs. On other systems a thread waits for the
    end of the parent.

    Raises RuntimeError in a process that ``multiprocessing`` hasn't started.
    """
    _kill_with_parent(os.getpid())


def end_group_with_parent() -> None:
    """Does the same with the processes of the group that this process leads."""
    _kill_with_parent(-os.getpid())


def _kill_with_parent(target: int) -> None:
    """Kills a process when the parent ends; a negative number means a group."""
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("only a process that multiprocessing has started ends with its parent")
    # The parent holds the other end of this pipe, and never writes to it.
    pipe: Any = parent.sentinel
    if sys.platform == "linux":
        # A thread can't run while other code holds the GIL. So the kernel sends the signal.
        fcntl.fcntl(pipe, fcntl.F_SETOWN, target)
        fcntl.fcntl(pipe, _F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    # Sandboxes such as gVisor accept this without sending signals. The thread also covers a parent
    # that ended before.
    threading.Thread(target=_kill_after, args=[pipe, target], daemon=True).start()


def _kill_after(pipe: Any, target: int) -> None:
    multiprocessing.connection.wait([pipe])
    os.kill(target, signal.SIGKILL)
