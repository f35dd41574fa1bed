"""Limits how many bodies of a function run at the same time."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

__all__ = ["Places"]


class Places:
    """A semaphore for coroutines of any event loop: the workers of a process may have several."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._lock = threading.Lock()
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> None:
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            with self._lock:
                is_waiting = turn in self._waiting
                if is_waiting:
                    self._waiting.remove(turn)
            if not is_waiting:
                self.release()
            raise

    def release(self) -> None:
        """Gives the place to the coroutine that has waited longest. Any thread may call it."""
        with self._lock:
            while self._waiting:
                turn = self._waiting.popleft()
                try:
                    turn.get_loop().call_soon_threadsafe(_set, turn)
                except RuntimeError:
                    continue  # its event loop is closed
                return
            self._free += 1


def _set(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
