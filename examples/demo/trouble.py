"""Errors of the demo, with messages for the user."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Trouble(Exception):
    """The demo can't continue. The message says what to do, if that is known."""


@contextlib.asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise Trouble(f"{what} took more than {seconds:.0f} s") from error
