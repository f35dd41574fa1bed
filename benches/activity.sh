#!/bin/sh
# Measures the cost of open activities. Usage: activity.sh ACTIVITIES SECONDS, in the top folder, after `make lib`.
set -eu
out=target/benches
mkdir -p "$out"
cargo build --quiet --release --manifest-path benches/peers/rust/Cargo.toml --target-dir "$out"
for program in record scale; do
    cc -std=c11 -O2 -Wall -Wextra -Werror "benches/$program.c" -Iinclude -Ltarget/release -ltemporal_heartbeat -lpthread \
        -Wl,-rpath,"$PWD/target/release" -o "$out/$program"
done

# The server reads from a pipe that this shell holds open; closing it ends the server.
with_server() {
    rm -f "$out/in" "$out/said"
    mkfifo "$out/in"
    "$out/release/null_server" --count <"$out/in" >"$out/said" &
    server=$!
    exec 3>"$out/in"
    until [ -s "$out/said" ]; do sleep 0.05; done
    "$@" "$(head -n 1 "$out/said")" || status=$?
    exec 3>&-
    wait "$server"
    return "${status:-0}"
}

scale() { "$out/scale" "$1" "$activities" "$seconds"; }

activities=$1 seconds=$2
with_server "$out/record"
with_server "${PYTHON:-python3}" benches/record.py
with_server scale
[ "$seconds" -eq 0 ] || awk 'NR == 2 {
    printf "the server received %d heartbeats of %d activities; longest interval of one activity: %.2f s (expected 18 to 20 s)\n", $1, $2, $3 / 1000
}' "$out/said"
# Opens a million activities, without heartbeats.
if [ "$seconds" -ne 0 ] && [ "$activities" -lt 1000000 ]; then
    activities=1000000 seconds=0
    with_server scale
fi
go=${GO:-go}
if command -v "$go" >/dev/null; then
    (cd bindings/go && TEMPORAL_HEARTBEAT_LIBRARY="$PWD/../../target/release/libtemporal_heartbeat.so" \
        "$go" test -run '^$' -bench RecordHeartbeat -benchtime 5000x -count 200 ./heartbeat) |
        sed -n 's/^BenchmarkRecordHeartbeat\///p' | sort -k 1,1 -k 3,3n | awk '
            { time[$1, ++count[$1]] = $3 }
            END { for (name in count) printf "Go, %s: %.0f ns\n", name, time[name, int((count[name] + 1) / 2)] }'
else
    echo "Go: not there"
fi
