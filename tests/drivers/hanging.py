"""A program that hangs. Arguments: the options of connect, the status, and the name of a file in the stack."""

import json
import signal
import sys
import time

import temporal_heartbeat as thb

# `compile` gives the code a file name.
HANG = "def wait_for_the_table():\n    time.sleep(600)\nwait_for_the_table()\n"

if __name__ == "__main__":
    [_, options, status, file] = sys.argv
    thb.connect(**json.loads(options))
    with thb.Activity.from_env(stall_timeout=0.5, stall_action="fail", stall_signal=signal.SIGUSR2) as act:
        act.set_status(status)
        exec(compile(HANG, file, "exec"), {"time": time})
