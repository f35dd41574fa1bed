"""Launchers that change what the program inherits, and a command that leaves processes to be adopted."""

import sys


def after(statement: str) -> list[str]:
    """Returns a launcher that executes the statement of Python before it becomes the program."""
    return [sys.executable, "-c", f"import ctypes, os, signal, sys; {statement}; os.execv(sys.argv[1], sys.argv[1:])"]


PROCESS_1 = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
PR_SET_CHILD_SUBREAPER = 36
SUBREAPER = after(f"ctypes.CDLL(None).prctl({PR_SET_CHILD_SUBREAPER}, 1, 0, 0, 0)")

# Starts processes that outlive their parent and leave the process group, and waits until all are reaped.
ORPHANS = """
for n in 1 2 3; do (setsid sh -c "echo \\$\\$ > $0/$n" &); done
for n in 1 2 3; do
    until [ -s "$0/$n" ]; do sleep 0.02; done
    while [ -e "/proc/$(cat "$0/$n")" ]; do sleep 0.02; done
done
echo reaped
exit 3
"""
