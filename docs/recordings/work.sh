#!/usr/bin/env bash
# A worker without a line of code: killed in the middle of an activity, and started again.
set -eu
. "$(dirname "$0")/session.sh"

report_script

run 'cat report.sh'
run 'temporal-heartbeat work --task-queue reports --progress-json \
    -- bash report.sh &'
sleep 1
run 'temporal activity start --activity-id report-7 --type report \
    --task-queue reports --start-to-close-timeout 1h --heartbeat-timeout 3s'
sleep 3
comment 'a power cut'
run 'kill -KILL $!' now
sleep 1
comment 'another worker continues'
run 'temporal-heartbeat work --task-queue reports --progress-json \
    -- bash report.sh &'
temporal activity result --activity-id report-7 >/dev/null 2>&1 || true
sleep 1
