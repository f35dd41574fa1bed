"""Does the items of an Activity, going on after the last one that any attempt has recorded.

    resume.py ITEMS FILE

The parent hands over the task token in the environment. Each item that is done is a line of FILE.
"""

import sys

import temporal_heartbeat as thb

items, path = int(sys.argv[1]), sys.argv[2]
token = thb.token_from_env()
thb.connect()

details = thb.get_details(token)
first = details[0] + 1 if details else 0
for item in range(first, items):
    with open(path, "a") as done:
        done.write(f"{details.attempt} python {item}\n")
    try:
        if thb.heartbeat(token, item) & thb.Signals.CANCEL_REQUESTED:
            thb.report_cancelled(token)
            sys.exit("cancelled")
    except thb.NotFound:
        sys.exit("the activity is over for us: another attempt goes on")
thb.complete(token, items)
