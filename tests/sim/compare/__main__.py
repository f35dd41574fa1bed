"""Compares the model of the simulation with a real server. `make sim-compare` runs it; see the README of tests/sim."""

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence

from harness.activities import KINDS, Kind
from harness.server import dev_server
from harness.worker import connect, has_standalone
from sim.compare.model import Model
from sim.compare.run import compare, model_program

# A low limit, so that values beyond it are cheap. A server applies it only to values from which it warns.
SIZE_LIMIT = 20_000
SERVER = (
    *("--log-level", "never"),
    *("--dynamic-config-value", f"limit.blobSize.error={SIZE_LIMIT}"),
    *("--dynamic-config-value", f"limit.blobSize.warn={SIZE_LIMIT // 2}"),
    *("--dynamic-config-value", "matching.numTaskqueueReadPartitions=1"),
    *("--dynamic-config-value", "matching.numTaskqueueWritePartitions=1"),
)


async def main() -> bool:
    """Prints the differences, and returns whether there is none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scripts", type=int, default=100)
    parser.add_argument("--seed", type=int, help="of the first script, by default a random one")
    arguments = parser.parse_args()
    first = random.randrange(1 << 40) if arguments.seed is None else arguments.seed
    program = model_program()
    with dev_server(*SERVER) as server:
        client = await connect(server.address)
        kinds: Sequence[Kind] = KINDS if await has_standalone(client) else ("workflow",)
        with Model(program, server.version[1], SIZE_LIMIT) as model:
            outcome = await compare(client, model, kinds, range(first, first + arguments.scripts))
    print("\n".join([*outcome.differences, f"Server {server.version[0]}.{server.version[1]}: {outcome}"]))
    return not outcome.differences


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
