"""A worker whose activity runs an MPI program. Rank 0 opens the activity, and ends it.

worker.py ARGUMENTS OF MPIRUN

For example `worker.py -n 4 ./solver`. The activity's arguments, the number of steps and the folder, are appended.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections import deque

import temporal_heartbeat as thb
from temporal_heartbeat import handoff
from temporalio import activity
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker


@activity.defn
async def simulate(steps: int, folder: str) -> int:  # the program ends it, with this type of result
    variables = handoff.environment(activity.info())
    # mpirun passes its variables to ranks on other nodes only if they are listed.
    exported = [word for name in variables if name.startswith("TEMPORAL_") for word in ("-x", name)]
    job = subprocess.Popen(
        ["mpirun", *exported, *sys.argv[1:], str(steps), folder],
        env=variables,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    threading.Thread(target=wait_for, args=[job, activity.info().task_token], daemon=True).start()
    activity.raise_complete_async()


def wait_for(job: "subprocess.Popen[str]", token: bytes) -> None:
    last: deque[str] = deque(maxlen=40)  # Open MPI prints up to 30 lines after the cause
    for line in job.stderr or ():
        sys.stderr.write(line)
        last.append(line)
    # mpirun has ended all ranks. So the next attempt may start at once, and needn't wait for the heartbeat timeout. If
    # mpirun itself was killed, ranks may still be ending, and the heartbeat timeout starts the next attempt.
    if job.wait() > 0:
        with contextlib.suppress(thb.NotFoundError):  # the attempt is over
            thb.fail(token, f"mpirun exited with {job.returncode}", type="MpiJob", stack_trace="".join(last))


async def main() -> None:
    thb.connect()
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    client = await Client.connect(**config)
    await Worker(client, task_queue=os.environ.get("TASK_QUEUE", "simulations"), activities=[simulate]).run()


if __name__ == "__main__":
    asyncio.run(main())
