#!/usr/bin/env bash
# For a worker that starts a script for each activity. The script hands the activity over to `temporal-heartbeat exec`, which runs a
# command as the activity's work. The command runs on this machine, or with RUN_ON="ssh node7" on another machine that can reach the
# server.
#
#     parent.sh COMMAND ARGUMENT...
#
# The worker sets TEMPORAL_ACTIVITY_TASK_TOKEN, and completes the activity asynchronously. The script passes the token on exec's standard
# input, because other users could read it on a command line.
set -euo pipefail

token=$TEMPORAL_ACTIVITY_TASK_TOKEN
unset TEMPORAL_ACTIVITY_TASK_TOKEN

# Forwards SIGTERM and SIGINT to the command. It is set before exec starts, so that no signal ends only this script.
trap 'signalled=yes; kill -TERM "${!:?got a signal before exec started}" || true' TERM INT
${RUN_ON:-} temporal-heartbeat exec --token-stdin --address "${TEMPORAL_ADDRESS:-127.0.0.1:7233}" \
    --progress-json --result output -- "$@" <<<"$token" &
exec_pid=$!
echo "exec $exec_pid"

while # a signal interrupts `wait`
    signalled=no code=0
    wait $exec_pid || code=$?
    [[ $signalled = yes ]]
do :; done
case $code in
    0) ;;
    64 | 65 | 66) echo "exec was called incorrectly" >&2 ;;
    69) echo "exec can't reach the server" >&2 ;;
    76) echo "the activity is over: another attempt runs, or the workflow has closed" >&2 ;;
    *) echo "the command ended with code $code, which exec reported to the server" >&2 ;;
esac
exit $code
