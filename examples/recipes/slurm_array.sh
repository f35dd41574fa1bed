#!/bin/bash
#SBATCH --job-name=solver
#SBATCH --array=0-9
#SBATCH --time=24:00:00
#SBATCH --output=solver-%A-%a.log
#
# An array job. Each task is an Activity. For each task, the parent writes the token into TOKENS/<number>, readable only by the
# job's user (for example with `handoff.token_in_file`). Then it submits the job:
#
#     sbatch --export=ALL,TOKENS=/scratch/tokens,TEMPORAL_ADDRESS=temporal:7233 slurm_array.sh ./solver 1000
#
# Slurm doesn't requeue: Temporal does the retries. If a task dies, its Activity's heartbeat timeout expires, and the parent of the
# next attempt submits another job.
#SBATCH --no-requeue
set -euo pipefail

export TEMPORAL_ACTIVITY_TASK_TOKEN_FILE=${TOKENS:?must name the folder of the tokens}/${SLURM_ARRAY_TASK_ID:?is set by Slurm}

# With `sbatch --signal=B:TERM@120`, Slurm sends SIGTERM two minutes before the limit. The trap forwards it to the solver. It is set
# before the solver starts, so that no signal ends only this script.
trap 'signalled=yes; kill -TERM "${!:?got SIGTERM before the solver started}" || true' TERM
"$@" &
solver=$!
while # a signal interrupts `wait`
    signalled=no status=0
    wait "$solver" || status=$?
    [[ $signalled = yes ]]
do :; done
rm -f "$TEMPORAL_ACTIVITY_TASK_TOKEN_FILE"
exit "$status"
