"""Waits until its Activity is cancelled, and prints the reason.

By the option follow_server, a cancellation is noticed at once, not with the next heartbeat.
"""

import temporal_heartbeat as thb

thb.connect()
with thb.Activity.from_env(follow_server=True) as act:
    print("waiting", flush=True)
    signals = act.wait(thb.STOP_SIGNALS)  # in a thread beside the work, or instead of it
    if signals & thb.Signals.CANCEL_REQUESTED:
        print("cancelled:", act.reason, flush=True)
        act.report_cancelled()
