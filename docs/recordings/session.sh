# Functions of the recorded sessions. A session types its commands and runs them, with a server and a folder of its own.

repository=$(cd "$(dirname "$0")/../.." && pwd)
export PATH=$repository/target/release:$repository/.venv/bin:$PATH PYTHONPATH=$repository/bindings/python PYTHONUNBUFFERED=1
export TEMPORAL_HEARTBEAT_LIBRARY=${TEMPORAL_HEARTBEAT_LIBRARY:-$repository/target/release/libtemporal_heartbeat.so}

folder=$(mktemp -d)
cd "$folder"
# The default port if it is free, so that the output is the usual one.
port=$(python3 -c 'import socket
try:
    s = socket.create_server(("127.0.0.1", 7233))
except OSError:
    s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1])')
export TEMPORAL_ADDRESS=127.0.0.1:$port
temporal server start-dev --headless --log-level never --port "$port" >/dev/null 2>&1 &
server=$!
disown
started=()
trap 'kill -KILL "$server" "${started[@]}" 2>/dev/null; rm -rf "$folder"' EXIT
until temporal operator namespace describe default >/dev/null 2>&1; do sleep 0.2; done

# Writes the file NAME of a documentation page into the folder. Arguments: the page, and NAME.
file_of_page() {
    PYTHONPATH=$repository/tests python3 -c 'import sys
from pathlib import Path
from harness.markdown import files
print(files(Path(sys.argv[1]))[sys.argv[2]], end="")' "$repository/docs/$1" "$2" >"$2"
}

# Writes report.sh, the script that the recorded programs run.
report_script() {
    cat >report.sh <<'END'
for ((page = ${TEMPORAL_ACTIVITY_DETAILS_JSON:-0}; page < 12; )); do
    sleep 0.5                  # the work on one page
    echo $((++page))           # a line that is JSON: progress
done
END
}

# Prints the prompt and the command as a person would type it, and runs it. `now` prints the command at once.
run() {
    local command=$1 i
    printf '\e[1;32m$\e[0m '
    for ((i = 0; i < ${#command}; i++)); do
        printf '%s' "${command:i:1}"
        [[ ${2:-} == now ]] || sleep 0.02
    done
    [[ ${2:-} == now ]] || sleep 0.3
    printf '\n'
    eval "$command"
    if [[ $command == *"&" ]]; then
        started+=("$!")
        disown
    fi
    sleep 0.4
}

comment() { printf '\e[90m# %s\e[0m\n' "$1"; }
