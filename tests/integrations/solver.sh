#!/bin/bash
# The work of a command-line program under test: `solver.sh FOLDER`. It works on items until FOLDER/stop exists, and appends to FOLDER/journal
# (journal.py). It prints the number of items that are done, and begins with those that an earlier attempt has recorded.
set -euo pipefail

attempt=${TEMPORAL_ACTIVITY_ATTEMPT:?}
for ((item = ${TEMPORAL_ACTIVITY_DETAILS_JSON:-0}; ; )); do
    [[ ! -e $1/stop ]] || break
    echo "begin $item $attempt $$" >>"$1/journal"
    sleep 0.1
    echo "end $item $attempt $$" >>"$1/journal"
    echo $((++item))
done
