#!/usr/bin/env bash
# An unmodified script as the work of an Activity that a worker hands over: killed, and continued by the next attempt.
set -eu
. "$(dirname "$0")/session.sh"

file_of_page guide/try.md parent.py
report_script

comment 'The parent hands its Activity over to the command on its command line.'
run 'python parent.py temporal-heartbeat exec --progress-json \
    -- bash report.sh &'
sleep 2
run 'temporal activity start --activity-id report-7 --type solve \
    --task-queue solvers --start-to-close-timeout 1h --heartbeat-timeout 3s'
sleep 3
comment 'a power cut'
run 'pkill -KILL -P $!' now
comment 'The heartbeat timeout passes. The parent starts the command again.'
temporal activity result --activity-id report-7 >/dev/null 2>&1 || true
sleep 1
