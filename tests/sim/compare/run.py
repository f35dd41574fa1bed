"""Runs many scripts at once, each with a separate activity."""

import asyncio
import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client

from harness.activities import Kind
from harness.paths import ROOT
from sim.compare.model import Model, Modelled
from sim.compare.real import Real
from sim.compare.script import Difference, Script, TooSlow

AT_ONCE = 40


def model_program() -> Path:
    """Builds the tests of the library, with the features of `make test`, and returns their program."""
    build = ["cargo", "test", "--features", "cli", "--lib", "--no-run", "--message-format=json"]
    messages = subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    built = [json.loads(message) for message in messages]
    return next(Path(one["executable"]) for one in built if one.get("executable"))


@dataclass
class Outcome:
    scripts: int
    steps: int
    seconds: float
    differences: list[str]
    # Scripts that weren't compared to their end, because this machine was too slow for their heartbeat timeout.
    given_up: int

    def __str__(self) -> str:
        return (
            f"{self.scripts} scripts, {self.steps} steps, {self.seconds:.0f} s: {len(self.differences)} differences, "
            f"{self.given_up} scripts given up because this machine was too slow for their heartbeat timeout"
        )


async def compare(
    client: Client, model: Model, kinds: Sequence[Kind], seeds: range, *, is_quick: bool = False
) -> Outcome:
    places, began = asyncio.Semaphore(AT_ONCE), time.monotonic()
    outcome = Outcome(len(seeds), 0, 0.0, [], 0)

    async def run(seed: int) -> None:
        async with places:
            script = Script(seed, kinds, model.size_limit, is_quick)
            real = Real(client, script.kind, script.timeout_ms, script.most_attempts)
            try:
                await script.run(real, Modelled(model, script.kind, script.timeout_ms, script.most_attempts))
            except TooSlow:
                outcome.given_up += 1
            except Difference as difference:
                outcome.differences.append(str(difference))
            except Exception as error:
                raise RuntimeError(f"seed {seed}, after {script.steps}") from error
            outcome.steps += len(script.steps)
            await real.terminate()

    async with asyncio.TaskGroup() as scripts:
        for seed in seeds:
            scripts.create_task(run(seed))
    outcome.seconds = time.monotonic() - began
    return outcome
