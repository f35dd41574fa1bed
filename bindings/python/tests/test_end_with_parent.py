"""Processes of a pool that end with the process that started the pool."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

import temporal_heartbeat as thb

HOLDER = """
import ctypes, multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
import temporal_heartbeat as thb

def work(seconds):
    if not seconds:
        return
    print("working", flush=True)
    if sys.argv[2] == "hanging":
        mutex = ctypes.create_string_buffer(64)
        for _ in range(2):  # the second call never returns, and holds the GIL
            ctypes.PyDLL(None).pthread_mutex_lock(mutex)
    time.sleep(seconds)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with ProcessPoolExecutor(2, context, initializer=thb.end_with_parent) as pool:
        pool.submit(work, 0).result()
        pool.submit(work, 1000).result()
"""


@pytest.mark.parametrize("state", ["sleeping", "hanging"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_dies_with_its_killed_holder(
    method: str, state: str, tmp_path: os.PathLike[str]
) -> None:
    program = os.path.join(tmp_path, "holder.py")
    with open(program, "w") as file:
        file.write(HOLDER)
    package = os.path.dirname(os.path.dirname(thb.__file__))
    with subprocess.Popen(
        [sys.executable, program, method, state],
        env={**os.environ, "PYTHONPATH": package},
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as holder:
        assert holder.stdout
        try:
            assert holder.stdout.readline() == b"working\n"
            holder.kill()
            # The processes of the pool have inherited the pipe: it ends when the last of them does.
            assert holder.communicate(timeout=30)[0] == b""
        except BaseException:
            os.killpg(holder.pid, signal.SIGKILL)
            raise


def test_a_process_that_no_pool_started_is_refused() -> None:
    with pytest.raises(RuntimeError, match="multiprocessing"):
        thb.end_with_parent()
