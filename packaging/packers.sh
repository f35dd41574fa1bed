#!/bin/sh
# Installs the programs of packaging/packers.txt into target/tools/packers, once, and prints the folder that contains them.
set -eu
cd "$(dirname "$0")/.."
folder=$PWD/target/tools/packers
mkdir -p "$folder"
exec 9>"$folder.lock"
flock 9
if [ ! "$folder/.done" -nt packaging/packers.txt ]; then
    python3 -m venv "$folder" &&
        "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement packaging/packers.txt >&2 || {
        echo "packaging: can't install the programs of packaging/packers.txt into $folder" >&2
        exit 1
    }
    touch "$folder/.done"
fi
echo "$folder/bin"
