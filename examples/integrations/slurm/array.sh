#!/bin/bash
#SBATCH --job-name=solve
#SBATCH --array=0-9
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --no-requeue
#SBATCH --output=solve-%A-%a.log
#
# An array of Activities that a parent has handed over. For each one, the parent writes the token into TOKENS/<number>, readable only by
# the job's user (for example with `handoff.token_in_file`). Then it submits the job:
#
#     sbatch --export=ALL,TOKENS=/scratch/tokens,TEMPORAL_ADDRESS=temporal:7233 array.sh ./solver.sh 1000
#
# Slurm doesn't requeue, because Temporal does the retries: each has a new token, so the parent of the next attempt submits another job.
set -euo pipefail

token=${TOKENS:?must name the folder of the tokens}/${SLURM_ARRAY_TASK_ID:?is set by Slurm}
exec 3<"$token" # `exec` of bash: opens the file as descriptor 3
rm -f "$token"
exec temporal-heartbeat exec --token-fd 3 --progress-json -- "$@"
