"""Ends a process of a pool when the process that started the pool ends."""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.process
import os
import signal
import sys
import threading

__all__ = ["end_with_parent"]

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Make this process end when the process that started it ends or is killed.

    ::

        with ProcessPoolExecutor(initializer=thb.end_with_parent) as pool:
            ...

    Call it at the start of each process of ``multiprocessing`` or ``concurrent.futures``. Without
    it, the processes of a pool continue to work when the process that started them is killed, and
    the next attempt does the same work at the same time.

    On Linux the kernel kills the process, even if it hangs. The kernel also kills it when the
    thread that started it ends, so start it in a thread that lives as long as the process. On other
    systems, and in a process of a "forkserver", a thread waits for the end of the parent.

    Raises RuntimeError in a process that ``multiprocessing`` hasn't started.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("only a process that multiprocessing has started ends with its parent")
    if sys.platform == "linux" and os.getppid() == parent.pid:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        if os.getppid() == parent.pid:
            return  # the parent still ran after prctl, so the kernel will notice its end
    threading.Thread(target=_die_after, args=[parent], daemon=True).start()


def _die_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)
