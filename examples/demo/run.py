"""The command. It parses the options, runs the relay, and prints the summary."""

import argparse
import asyncio
import contextlib
import logging
import os
import random
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

from attempts import Attempts
from done_file import DoneFile
from programs import PROGRAMS, check_built, environment
from progress import Progress
from relay import ITEM_S, plan_kills, run_relay
from screen import FRAMES_PER_S, screen_for
from server import NAMESPACE, find_program, running_server, version
from summary import report, summarize
from trouble import Trouble, within

LIMIT_S = 120.0  # in addition to the items' own time; a normal run needs 10 s

TITLE = "One Activity, three languages: two attempts are killed while they work, and no item is lost."
STORY = """Starts a Temporal dev server, a worker, and a workflow. Its Activity processes items in an external
process. The first attempt is in C, the second in Python; both are killed with SIGKILL. The third, in Go, completes.
Exit code 0 means that the run was correct."""


def main() -> int:
    options = parse()
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)  # the demo prints its own errors
    try:
        return asyncio.run(until_signal(run(options)))
    except Trouble as trouble:
        print(f"demo: {trouble}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of stdout has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo.py", description=TITLE, epilog=STORY)
    parser.add_argument(
        "--seed",
        type=int,
        default=os.environ.get("SEED") or random.randrange(1000),
        help="repeats the kills of the run with this seed (default: the variable SEED, else random)",
    )
    parser.add_argument("--items", type=int, default=40, help="the number of items (default: 40)")
    parser.add_argument(
        "--relay",
        type=lambda names: names.split(","),
        default="c,python,go",
        metavar="NAME,...",
        help=f"the program of each attempt: {', '.join(PROGRAMS)} (default: c,python,go)",
    )
    parser.add_argument("--file", type=Path, help="keep the finished items in this file (default: a temporary file)")
    options = parser.parse_args()
    unknown = ", ".join(sorted(set(options.relay) - set(PROGRAMS)))
    if unknown:
        parser.error(f"--relay: unknown program {unknown}; choose from {', '.join(PROGRAMS)}")
    if options.items < 2 * len(options.relay):
        parser.error(f"--items: {len(options.relay)} attempts need {2 * len(options.relay)} or more")
    if options.file and options.file.exists():
        parser.error(f"--file: {options.file} already exists")
    return options


async def run(options: argparse.Namespace) -> int:
    programs = [PROGRAMS[name] for name in options.relay]
    check_built(programs)
    server = find_program()
    kills = plan_kills(options.seed, options.items, len(programs) - 1)
    progress = Progress(options.items, options.seed, [program.title for program in programs])

    with tempfile.TemporaryDirectory(prefix="temporal-heartbeat-demo-") as name:
        directory = Path(name)
        done_file = (options.file or directory / "done").absolute()
        limit = LIMIT_S + 2 * ITEM_S * options.items
        async with within(limit, "the demo"), drawn(progress):
            progress.begin(f"starting Temporal Server {'.'.join(map(str, version(server)))}, seed {options.seed}")
            async with running_server(server, directory) as client:
                address = client.service_client.config.target_host
                progress.begin(f"server on {address}")
                attempts = Attempts(programs, environment(address, NAMESPACE), directory, done_file)
                result = await run_relay(client, attempts, kills, progress)
                progress.result = result
                progress.say(f"the workflow returned {result}")
        done = DoneFile(done_file).new()

    summary = summarize(done, options.items, [program.language for program in programs], result)
    print(report(summary, progress.titles, progress.elapsed))
    return 1 if summary.faults else 0


@contextlib.asynccontextmanager
async def drawn(progress: Progress) -> AsyncIterator[None]:
    """Redraws the screen while the block runs."""
    screen = screen_for(sys.stdout)

    async def frames() -> None:
        while True:
            screen.draw(progress)
            await asyncio.sleep(1 / FRAMES_PER_S)

    drawing = asyncio.create_task(frames())
    try:
        yield
    finally:
        drawing.cancel()
        await asyncio.gather(drawing, return_exceptions=True)
        screen.draw(progress)  # the final state
        screen.close()


async def until_signal(job: Coroutine[Any, Any, int]) -> int:
    """Cancels the job on the first SIGINT, SIGTERM or SIGHUP, and ignores further signals."""
    task = asyncio.create_task(job)
    received: list[int] = []

    def end(number: int) -> None:
        if not received:
            received.append(number)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end, number)
    try:
        return await task
    except asyncio.CancelledError:
        print("demo: interrupted; all its processes are stopped", file=sys.stderr)
        return 128 + received[0]
