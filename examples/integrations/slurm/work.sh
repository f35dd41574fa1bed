#!/bin/bash
#SBATCH --job-name=solve
#SBATCH --array=0-3
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=solve-%A-%a.log
#
# An array of workers. Each job takes tasks from a task queue, one at a time, and runs the command for each:
#
#     sbatch --export=ALL,TASK_QUEUE=solve,TEMPORAL_ADDRESS=temporal:7233 work.sh ./solver.sh 1000
#
# `scancel --name=solve` ends all of them.
set -euo pipefail

trap 'is_signalled=yes; kill -TERM "${!:?got SIGTERM before the worker started}" || true' TERM
temporal-heartbeat work --task-queue "${TASK_QUEUE:?}" --progress-json -- "$@" &
worker=$!
while # a signal interrupts `wait`
    is_signalled=no status=0
    wait "$worker" || status=$?
    [[ $is_signalled = yes ]]
do was_signalled=yes; done

# After SIGTERM, `work` has ended its attempt, and another job takes the next one. If the reason is the time limit, this job shall take tasks
# again later. After `scancel`, and if Slurm requeues the job, it isn't in the state RUNNING. Its SLURM_JOB_ID can also be the id of the whole
# array.
job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
if [[ ${was_signalled:-no} = yes && $(squeue --noheader --job="$job" --states=RUNNING) ]]; then
    scontrol requeue "$job"
fi
exit "$status"
