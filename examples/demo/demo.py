"""The demo's command. It is as small as this so that what is missing is told before anything is started."""

import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is started yet: Ctrl-C just ends us

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("demo: needs Python 3.11 or newer")

try:
    from run import main
except ModuleNotFoundError as error:
    sys.exit(f"demo: {sys.executable} has no {error.name}. `make demo` makes an environment that has it.")

if __name__ == "__main__":
    sys.exit(main())
