#!/usr/bin/env bash
# A worker without a line of code: killed in the middle of an activity, and started again.
set -eu
. "$(dirname "$0")/session.sh"

cat >report.sh <<'END'
for ((page = ${TEMPORAL_ACTIVITY_DETAILS_JSON:-0}; page < 12; )); do
    sleep 0.5                  # the work on one page
    echo $((++page))           # a line that is JSON: progress
done
END

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
