#!/bin/bash
# The work of a program under test that knows nothing of this project: `sidecar_solver.sh FOLDER`. It is like solver.sh, but reads the number of
# items that are done from /work/details, and writes it to /work/progress.
set -euo pipefail

trap 'echo SIGTERM; is_ending=yes' TERM
attempt=$(cat "$1/attempt")
for ((item = $(cat /work/details); ; )); do
    if [[ ${is_ending:-no} == yes ]]; then
        [[ ! -e $1/ends_slowly ]] || sleep 2
        exit 143
    fi
    [[ ! -e $1/stop ]] || break
    echo "begin $item $attempt $$" >>"$1/journal"
    sleep 0.1
    echo "end $item $attempt $$" >>"$1/journal"
    echo $((++item)) >/work/progress
done
touch /work/done
