"""Processes the items of an Activity in asyncio, and cancels an item when the Activity must stop.

    activity_aio.py ITEMS FILE

The parent hands the Activity over in the environment. Each processed item adds a line to FILE.
"""

import asyncio
import sys

import temporal_heartbeat as thb
from temporal_heartbeat import aio


async def work(act: aio.Activity, items: int, path: str) -> None:
    for item in range(await act.details(default=-1) + 1, items):
        with open(path, "a") as done:
            done.write(f"{act.info['attempt']} python {item}\n")
        act.heartbeat(item)
        await act.wait_while_paused()
        await asyncio.sleep(0.01)
    await act.complete(items)


async def main(items: int, path: str) -> None:
    await aio.connect()
    async with aio.Activity.from_env() as act:
        working = asyncio.create_task(work(act, items, path))
        stopped = asyncio.create_task(act.wait(thb.STOP_SIGNALS))
        await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            stopped.cancel()
            await working
        else:
            working.cancel()
            act.raise_if_cancelled()  # when it leaves the block, it reports the cancellation


try:
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
except thb.Cancelled as cancelled:
    sys.exit(str(cancelled))
except thb.NotFoundError:
    sys.exit("the activity is over for this attempt")
