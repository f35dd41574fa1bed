"""The current state of the run. The relay writes it, and the screen shows it."""

import time
from dataclasses import dataclass, field

from attempts import Attempt


@dataclass
class ServerView:
    """The Activity's state from the server's Describe."""

    attempt: int = 0
    item: int = 0  # in the last acknowledged heartbeat
    lease_ends: float = 0.0  # Unix time at which the heartbeat timeout expires

    @property
    def lease_left(self) -> float:
        return self.lease_ends - time.time()


@dataclass
class Progress:
    items: int
    seed: int
    titles: list[str]  # the title of each attempt's program
    attempts: list[Attempt] = field(default_factory=list)
    server: ServerView = field(default_factory=ServerView)
    started: float = field(default_factory=time.monotonic)
    headline: str = ""  # the current step before the first attempt
    result: int | None = None  # the workflow's result
    events: list[tuple[float, str]] = field(default_factory=list)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    @property
    def current(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    def begin(self, headline: str) -> None:
        self.headline = headline
        self.say(headline)

    def say(self, event: str) -> None:
        self.events.append((self.elapsed, event))
