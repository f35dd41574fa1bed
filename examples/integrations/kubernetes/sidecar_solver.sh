#!/bin/bash
# Works on items like solver.sh, but knows nothing of Temporal. The sidecar of sidecar.yaml reads its files.
#
#     sidecar_solver.sh ITEMS
set -euo pipefail

for ((item = $(cat /work/details); item < $1; item++)); do
    sleep 0.3 # the work on one item
    echo $((item + 1)) | tee /work/progress
done
touch /work/done
