#!/bin/bash
# A Slurm cluster of two nodes on this machine, to try jobs without a real one. It needs root, and Debian's slurm-wlm and munge.
#
#     local_cluster.sh FOLDER &
#     export SLURM_CONF=FOLDER/slurm.conf
#     until sinfo; do sleep 1; done
#
# The daemons run until this script gets SIGTERM or SIGINT. Then it cancels the jobs. The folders above FOLDER must be accessible to all
# users. The cluster has two partitions: jobs in `high` preempt jobs in `low`, which have 20 s to end. It uses no cgroups, no systemd and no
# accounting.
#
# FOLDER/pid-DAEMON has the pid of each daemon: `kill -KILL` on a `slurmd` and on what it has started is a node that loses its power.
# `local_cluster.sh --node FOLDER n1` runs a node again.
set -euo pipefail

write_config() {
    # Paths by which processes of other users reach the socket.
    mkdir -p "$folder/munge" "$folder/state"
    chmod 711 "$folder" "$folder/munge"
    (umask 077 && head -c 128 /dev/urandom >"$folder/munge/key")
    cat >"$folder/slurm.conf" <<END
ClusterName=local
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A job that was requeued waits for cred_expire before it can start again; by default 120 s.
AuthInfo=socket=$folder/munge/socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/pid-slurmctld
SlurmdPidFile=$folder/pid-%n
SlurmctldLogFile=$folder/log-slurmctld
SlurmdLogFile=$folder/log-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=2,bf_interval=2
# A node that is silent for this long is down, and its jobs are requeued; by default 300 s.
SlurmdTimeout=${SLURMD_TIMEOUT:-10}
KillWait=30
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=4
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=4
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime=20 PreemptMode=REQUEUE
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF
END
}

run_node() { exec slurmd -D -N "$1" -f "$folder/slurm.conf" >>"$folder/out-$1" 2>&1; }

if [[ $1 = --node ]]; then
    folder=$(realpath "$2")
    run_node "$3"
fi

# Cancels the jobs, so that no process of them is left, and ends the daemons. The others need munged for their last messages.
stop() {
    trap '' TERM INT
    for partition in low high; do timeout 10 scancel --partition=$partition || true; done
    for ((tries = 0; tries < 60; tries++)); do
        [[ $(timeout 10 squeue --noheader) ]] || break
        sleep 0.5
    done
    kill "${daemons[@]:1}" 2>/dev/null || true
    wait "${daemons[@]:1}" || true
    kill "${daemons[0]}"
}

folder=$(realpath -m "$1")
export SLURM_CONF=$folder/slurm.conf
port=${SLURM_PORT:-26817}
write_config
daemons=()
trap stop EXIT
trap 'exit 0' TERM INT
munged --foreground --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
    --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" >"$folder/out-munged" 2>&1 &
daemons+=($!)
until [[ -S $folder/munge/socket ]]; do
    kill -0 $! || { cat "$folder/out-munged"; exit 1; }
    sleep 0.1
done
slurmctld -D -c -f "$folder/slurm.conf" >"$folder/out-slurmctld" 2>&1 &
daemons+=($!)
for node in n1 n2; do
    run_node $node &
    daemons+=($!)
done
wait
