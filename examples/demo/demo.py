"""The demo's command. It is a small file so that it can report missing modules before it starts anything."""

import os
import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is started yet, so Ctrl-C may end this process

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("demo: needs Python 3.11 or newer")

try:
    from run import main
except ModuleNotFoundError as error:
    sys.exit(f"demo: {sys.executable} has no {error.name}. `make demo` creates an environment with it.")

if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # the SDK's threads can abort the exit of an interpreter
