"""Tasks of one event loop that send heartbeats through this project's Python binding. See ../README.md."""

import asyncio
import time

from temporal_heartbeat import aio

from measure import WARM_UP_S, Measurement, task

asked = task()
measurement = Measurement()
once = asked.seconds == 0


async def beat(token: bytes, times: list[int]) -> None:
    before = time.monotonic_ns()
    while not measurement.ending:
        if asked.details:
            await aio.heartbeat(token, asked.details)
        else:
            await aio.heartbeat(token, clear=True)
        after = time.monotonic_ns()
        if measurement.measuring:
            times.append(after - before)
        before = after
        if once:
            return


async def main() -> None:
    await aio.connect(asked.address, **({"tls": {"server_ca_cert_path": asked.ca_path}} if asked.ca_path else {}))
    callers = []
    for caller in range(asked.callers):
        measurement.times_ns.append([])
        callers.append(asyncio.create_task(beat(asked.token(caller), measurement.times_ns[caller])))
    if not once:
        await asyncio.sleep(WARM_UP_S)
        measurement.begin()
        await asyncio.sleep(asked.seconds)
        measurement.end()
    await asyncio.gather(*callers)
    await aio.disconnect()


asyncio.run(main())
measurement.report()
