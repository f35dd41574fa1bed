"""Tasks of one event loop that send heartbeats through the official Python SDK. See ../README.md.

GZIP=0 in the environment turns off the compression that the SDK does by default.
"""

import asyncio
import os
import sys
import time

from temporalio.client import Client
from temporalio.service import GrpcCompression, TLSConfig

from measure import WARM_UP_S, Measurement, task

asked = task()
measurement = Measurement()
once = asked.seconds == 0


async def beat(client: Client, token: bytes, times: list[int]) -> None:
    activity = client.get_async_activity_handle(task_token=token)
    details = [asked.details] if asked.details else []
    before = time.monotonic_ns()
    while not measurement.ending:
        await activity.heartbeat(*details)
        after = time.monotonic_ns()
        if measurement.measuring:
            times.append(after - before)
        before = after
        if once:
            return


async def main() -> None:
    client = await Client.connect(
        asked.address,
        tls=TLSConfig(server_root_ca_cert=asked.ca) if asked.ca else False,
        grpc_compression=GrpcCompression.NONE if os.environ.get("GZIP") == "0" else GrpcCompression.GZIP,
    )
    callers = []
    for caller in range(asked.callers):
        measurement.times_ns.append([])
        callers.append(asyncio.create_task(beat(client, asked.token(caller), measurement.times_ns[caller])))
    if not once:
        await asyncio.sleep(WARM_UP_S)
        measurement.begin()
        await asyncio.sleep(asked.seconds)
        measurement.end()
    await asyncio.gather(*callers)


asyncio.run(main())
measurement.report()
sys.stdout.flush()
# Threads of the SDK may still call back, which sometimes crashes the interpreter's own exit.
os._exit(0)
