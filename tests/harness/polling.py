"""Polls conditions that the kernel, a file or the server reports only when asked."""

import time
from collections.abc import Callable

WAIT_LIMIT_S = 60.0


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = WAIT_LIMIT_S) -> None:
    """Polls until the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s"
        time.sleep(0.005)
