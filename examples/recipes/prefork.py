"""A pre-fork server: it forks its workers at the start, as web servers do, and distributes activities to them.

    prefork.py WORKERS < tokens        one task token per line, in base64

The master connects, so that a wrong address or key fails immediately. The library detects the fork, and each worker
opens its own connection at its first call. Activities that the master opened raise ForkedError in the workers.
"""

import base64
import os
import sys

import temporal_heartbeat as thb


def worker(tokens: int) -> None:
    with os.fdopen(tokens) as lines:
        for line in lines:
            with thb.Activity(base64.b64decode(line)) as act:
                for item in thb.track(range(5), act):
                    print(os.getpid(), "works on item", item, flush=True)
                act.complete(os.getpid())
            print(os.getpid(), "has done one", flush=True)


def main(workers: int) -> None:
    thb.connect()
    pipes = []
    children = []
    for _ in range(workers):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            for earlier in (*pipes, writer):
                os.close(earlier)
            worker(reader)
            os._exit(0)
        os.close(reader)
        pipes.append(writer)
        children.append(child)
    for number, line in enumerate(sys.stdin):
        os.write(pipes[number % workers], line.encode())
    for writer in pipes:
        os.close(writer)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))


if __name__ == "__main__":
    main(int(sys.argv[1]))
