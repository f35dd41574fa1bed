#!/usr/bin/env bash
# Hands an activity on, from a worker that starts scripts, to `temporal-heartbeat exec`, which runs a command as its work: here, or with
# RUN_ON="ssh node7" on another machine that reaches the server.
#
#     parent.sh COMMAND ARGUMENT...
#
# The worker gives it TEMPORAL_ACTIVITY_TASK_TOKEN, and completes the activity asynchronously. The token goes on by the standard input:
# in a command line, or in the environment of another machine, others could read it.
set -euo pipefail

token=$TEMPORAL_ACTIVITY_TASK_TOKEN
unset TEMPORAL_ACTIVITY_TASK_TOKEN

${RUN_ON:-} temporal-heartbeat exec --token-stdin --address "${TEMPORAL_ADDRESS:-127.0.0.1:7233}" \
    --progress-json --result output -- "$@" <<<"$token" &
exec_pid=$!
echo "exec $exec_pid"

# What stops this script stops the command.
trap 'kill -TERM $exec_pid' TERM INT
code=0
wait $exec_pid || code=$?
case $code in
    0) ;;
    64 | 65 | 66) echo "exec was called in a wrong way" >&2 ;;
    69) echo "exec can't reach the server" >&2 ;;
    76) echo "the activity is over: another attempt has taken over, or nobody waits any more" >&2 ;;
    *) echo "the command ended with code $code, which the server knows" >&2 ;;
esac
exit $code
