"""A random script of calls, chosen by a seed step by step, that runs on both sides."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import temporalio.api.common.v1 as common
import temporalio.api.failure.v1 as failures

from harness.activities import Kind
from harness.payloads import json_of_size, payloads
from sim.compare.answers import Answer
from sim.compare.model import Modelled
from sim.compare.real import Real
from sim.compare.side import Way

# A heartbeat timer with the long timeout never fires within a script. With the short timeout, the script waits for it.
LONG_TIMEOUT_MS, SHORT_TIMEOUT_MS = 60_000, 3_000
LONG_DELAY_S = 60
# A real timer fires up to a second late, and later on a busy machine.
EVENT_LIMIT_S = 60.0
# On a slow machine a timer may fire between two steps. A script is abandoned this long before its timer is due.
MARGIN_S = 0.2
STEPS = 25
STEPS_AFTER_END = 3


class Difference(Exception):
    """The model and the server disagree."""


class TooSlow(Exception):
    """A timer of the real server may have fired between two steps."""


@dataclass
class Step:
    words: Sequence[object]

    def __str__(self) -> str:
        return " ".join(str(word) for word in self.words)


@dataclass
class Script:
    seed: int
    kinds: Sequence[Kind]
    size_limit: int
    # A quick script doesn't wait for timers, and sends no large values.
    is_quick: bool = False
    steps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self.kind = self._random.choice(self.kinds)
        short = LONG_TIMEOUT_MS if self.is_quick else SHORT_TIMEOUT_MS
        self.timeout_ms = self._random.choice((0, LONG_TIMEOUT_MS, LONG_TIMEOUT_MS, short))
        self.most_attempts = self._random.choice((0, 0, 0, 2))
        self._timeout_ms = self.timeout_ms
        self._records = 0
        # The last start of the real server's heartbeat timer.
        self._renewed_at = 0.0

    async def run(self, real: Real, model: Modelled) -> None:
        self._real, self._model = real, model
        await real.schedule()
        await self._compare("schedule", Answer(0), Answer(0))
        after_end = 0
        while len(self.steps) < STEPS and after_end < STEPS_AFTER_END:
            await self._step()
            after_end += self._model.look()[0] == "over"
        if self.kind == "workflow":
            self._check("history", await real.end_in_history(), await model.end_in_history())

    async def _step(self) -> None:
        state, may_start, expires_ms = self._model.look()
        if state == "waiting" and self._random.random() < 0.7:
            await self._start(may_start)
            return
        if state == "running" and expires_ms is not None and expires_ms <= SHORT_TIMEOUT_MS and self._chance(0.25):
            await self._time_out(expires_ms)
            return
        if state == "running" and self._timeout_ms == SHORT_TIMEOUT_MS and expires_ms is None and self._chance(0.25):
            await self._stay_silent()
            return
        choices = [
            (10, self._beat),
            (1, self._complete),
            (4, self._fail),
            (2, self._report_cancelled),
            (10, self._operate),
        ]
        weights, functions = zip(*choices, strict=True)
        await self._random.choices(functions, weights)[0]()

    async def _start(self, may_start: bool) -> None:
        # A poll without a task takes seconds, so make few of them.
        if not may_start and (self.is_quick or not self._chance(0.3)):
            await self._operate()
            return
        before = time.monotonic()
        real = await self._real.start(is_expected=may_start)
        model = await self._model.start(is_expected=may_start)
        if may_start:
            self._renewed_at = before
        await self._compare("start", real, model)

    async def _beat(self) -> None:
        way, details = self._way(), self._details()
        before = time.monotonic()
        real, model = await self._real.beat(way, details), await self._model.beat(way, details)
        if real.code == 0:
            self._renewed_at = before
        await self._compare(f"beat {way} {shown(details)}", real, model)

    async def _complete(self) -> None:
        way, result = self._way(), self._details()
        real, model = await self._real.complete(way, result), await self._model.complete(way, result)
        await self._compare(f"complete {way} {shown(result)}", real, model)

    async def _fail(self) -> None:
        way, details = self._way(), self._details()
        self._records += 1
        failure = failures.Failure(message=f"failure {self._records}")
        kind = self._random.choice(("retryable",) * 6 + ("delayed", "final", "of no kind"))
        if kind != "of no kind":
            failure.application_failure_info.non_retryable = kind == "final"
        if kind == "delayed":
            failure.application_failure_info.next_retry_delay.FromSeconds(LONG_DELAY_S)
        real, model = await self._real.fail(way, failure, details), await self._model.fail(way, failure, details)
        await self._compare(f"fail {way} {kind} {shown(details)}", real, model)

    async def _report_cancelled(self) -> None:
        way, details = self._way(), self._details()
        real, model = await self._real.report_cancelled(way, details), await self._model.report_cancelled(way, details)
        await self._compare(f"report_cancelled {way} {shown(details)}", real, model)

    async def _operate(self) -> None:
        words = self._random.choice(OPERATIONS)
        if words[0] in ("terminate", "cancel") and not self._chance(0.3):
            return
        # A workflow's task with a second request, or one after the end, fails. No worker sends one.
        if words[0] == "cancel" and self.kind == "workflow":
            described = str((await self._model.describe()).shows)
            if self._model.look()[0] == "over" or "'state': 3" in described:
                return
        if words[0] == "set_timeout" and self.is_quick:
            return
        real, model = await self._real.operate(words), await self._model.operate(words)
        if words[0] == "set_timeout" and real.code == 0:
            self._timeout_ms = int(words[1])
        await self._compare(" ".join(words), real, model)

    async def _time_out(self, expires_ms: int) -> None:
        """Lets the heartbeat timer fire."""
        before = await self._real.describe()
        self._model.wait(expires_ms)
        await self._until_changed(before)
        await self._compare("time out", Answer(0), Answer(0))

    async def _stay_silent(self) -> None:
        """Sends no heartbeat while the activity of a workflow is paused: its timer fires when it is unpaused."""
        self._model.wait(SHORT_TIMEOUT_MS)
        await asyncio.sleep(SHORT_TIMEOUT_MS / 1000 + 1.5)
        await self._compare("stay silent", Answer(0), Answer(0))

    async def _until_changed(self, before: Answer) -> None:
        end = time.monotonic() + EVENT_LIMIT_S
        while await self._real.describe() == before and time.monotonic() < end:
            await asyncio.sleep(0.1)

    async def _compare(self, step: str, real: Answer, model: Answer) -> None:
        self.steps.append(step)
        _, _, expires_ms = self._model.look()
        if expires_ms is not None:
            if expires_ms == 0:
                # It was overdue, and fires at once.
                described = await self._model.describe()
                self._model.wait(0)
                if await self._real.describe() == described:
                    await self._until_changed(described)
            elif time.monotonic() > self._renewed_at + expires_ms / 1000 - MARGIN_S:
                raise TooSlow
        self._check(step, real, model)
        real, model = await self._real.describe(), await self._model.describe()
        if expires_ms and time.monotonic() > self._renewed_at + expires_ms / 1000 - MARGIN_S:
            raise TooSlow
        self._check("describe", real, model)

    def _check(self, step: str, real: Answer, model: Answer) -> None:
        if real != model:
            steps = "\n  ".join(self.steps)
            raise Difference(
                f"seed {self.seed}: {self.kind}, {self.timeout_ms} ms, {self.most_attempts or 'any'} attempts\n"
                f"  {steps}\n{step} at step {len(self.steps)}:\n  server: {real}\n  model:  {model}"
            )

    def _way(self) -> Way:
        ways: list[Way] = [*([0] * 7 if self._real.tokens else []), "ids", "ids", "ids without run"]
        if self.kind == "workflow" and self._real.tokens:
            ways.append("derived")
        if len(self._real.tokens) > 1:
            ways += [self._random.randrange(len(self._real.tokens))] * 3
        if self._chance(0.03):
            return "garbage"
        return self._random.choice(ways)

    def _details(self) -> common.Payloads | None:
        if self._chance(0.25):
            return None
        if self._chance(0.05):
            return common.Payloads()
        self._records += 1
        text = str(self._records)
        if not self.is_quick and self._chance(0.1):
            text = f'"{json_of_size(self.size_limit + self._random.choice((0, 1)))}"'
        return common.Payloads.FromString(payloads(("json/plain", text.encode())))

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability


OPERATIONS: Sequence[Sequence[str]] = (
    ("cancel",),
    ("cancel",),
    ("terminate",),
    ("pause",),
    ("pause",),
    ("pause",),
    ("unpause",),
    ("unpause",),
    ("unpause",),
    ("unpause", "erase"),
    ("unpause", "restart"),
    ("reset",),
    ("reset", "erase"),
    ("reset", "keep_paused"),
    ("reset", "erase", "keep_paused"),
    ("set_timeout", str(LONG_TIMEOUT_MS)),
    ("set_timeout", str(SHORT_TIMEOUT_MS)),
)


def shown(details: common.Payloads | None) -> str:
    if details is None:
        return "none"
    values = [payload.data for payload in details.payloads]
    return " and ".join(data.decode() if len(data) < 100 else f"{len(data)} bytes" for data in values) or "empty"
