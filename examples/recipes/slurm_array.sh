#!/bin/bash
#SBATCH --job-name=solver
#SBATCH --array=0-9
#SBATCH --time=24:00:00
#SBATCH --output=solver-%A-%a.log
#
# An array job whose tasks are Activities. For each of them the parent has written the token into TOKENS/<number>, with
# `handoff.token_in_file` for instance, readable by the job's user alone, and then:
#
#     sbatch --export=ALL,TOKENS=/scratch/tokens,TEMPORAL_ADDRESS=temporal:7233 slurm_array.sh ./solver 1000
#
# Slurm needn't requeue: when a task dies its Activity's heartbeat timeout runs out, and the retry submits another.
#SBATCH --no-requeue
set -euo pipefail

export TEMPORAL_ACTIVITY_TASK_TOKEN_FILE=${TOKENS:?is to name the folder of tokens}/${SLURM_ARRAY_TASK_ID:?is set by Slurm}

# Told by Slurm some time before the limit (sbatch --signal=B:TERM@120): the solver is asked to end.
"$@" &
solver=$!
trap 'kill -TERM "$solver"' TERM
status=0
wait "$solver" || status=$?
if ((status > 128)) && kill -0 "$solver" 2>/dev/null; then # the signal ended the waiting
    wait "$solver" || status=$?
fi
rm -f "$TEMPORAL_ACTIVITY_TASK_TOKEN_FILE"
exit "$status"
