#!/bin/bash
# Works on items, and prints the number of items that are done: `--progress-json` records it. Continues after the last recorded one.
#
#     solver.sh ITEMS
set -euo pipefail

echo "from item ${TEMPORAL_ACTIVITY_DETAILS_JSON:-0}, attempt ${TEMPORAL_ACTIVITY_ATTEMPT:-1}, on ${SLURMD_NODENAME:-$HOSTNAME}" >&2
for ((item = ${TEMPORAL_ACTIVITY_DETAILS_JSON:-0}; item < $1; )); do
    sleep 0.3 # the work on one item
    echo $((++item))
done
