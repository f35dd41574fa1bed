#!/bin/bash
# Process 1 of a node (cluster.py): runs containerd and the kubelet, until one of them ends. The current directory is the node's folder.
#
#     node.sh IMAGES KUBELET OPTION...
set -euo pipefail

# What the programs write there stays on the node.
for folder in opt usr var; do
    mkdir -p "$folder/files" "$folder/work"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$PWD/$folder/files,workdir=$PWD/$folder/work" "/$folder"
done
mount -t proc proc /proc
mount -t tmpfs tmpfs /run

containerd --config containerd.toml >>containerd.log 2>&1 &
containerd=$!
until ctr version >/dev/null 2>&1; do
    kill -0 "$containerd" # else it has ended
    sleep 0.1
done
for image in "$1"/*; do
    ctr --namespace k8s.io images import "$image" >>containerd.log
done
"${@:2}" >>kubelet.log 2>&1 &
wait -n
