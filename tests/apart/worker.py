"""A worker with the activities of these tests, as a user's: worker.py ADDRESS QUEUE CONVERTER [uvloop].

SIGTERM ends it as usual, with a shutdown of the worker.
"""

import asyncio
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from apart.activities import ACTIVITIES
from apart.codec import CONVERTERS


async def main(address: str, queue: str, converter: str) -> None:
    options: dict[str, Any] = {}
    if CONVERTERS[converter]:
        options["data_converter"] = CONVERTERS[converter]
    client = await Client.connect(address, **options)
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    with ThreadPoolExecutor(100) as executor:
        async with Worker(client, task_queue=queue, activities=ACTIVITIES, activity_executor=executor):
            print("polling", flush=True)
            await terminated.wait()


if __name__ == "__main__":
    if "uvloop" in sys.argv:
        import uvloop

        uvloop.run(main(*sys.argv[1:4]))
    else:
        asyncio.run(main(*sys.argv[1:4]))
