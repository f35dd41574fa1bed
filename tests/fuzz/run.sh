#!/usr/bin/env bash
# Fuzzes one target for the given number of seconds, after the fuzzer has found the target's planted bug.
# Prints a summary. Fails when the fuzzer finds a bug.
set -euo pipefail
target=$1 seconds=$2
cd "$(dirname "$0")"
root=../.. triple="$(uname -m)-unknown-linux-gnu"
found=$root/target/fuzz/found/$target
limits=(-max_len=2048 -timeout=60 -rss_limit_mb=4096 "-artifact_prefix=$found.")

# libFuzzer writes new inputs to the first folder.
rm -rf "$found.planted"
mkdir "$found.planted"
if "$root/target/fuzz-planted/$triple/release/$target" "${limits[@]}" -max_total_time=300 "$found.planted" "corpus/$target" \
    >"$found.planted.log" 2>&1 \
    || ! grep --text --quiet --line-regexp planted "$found.planted.log"; then
    echo "$target: the planted bug wasn't found, see $found.planted.log"
    exit 1
fi
if ! "$root/target/fuzz/$triple/release/$target" "${limits[@]}" -max_total_time="$seconds" -print_final_stats=1 "$found" "corpus/$target" \
    >"$found.log" 2>&1; then
    tail -n 30 "$found.log"
    echo "$target: found something, see $found.log"
    exit 1
fi
statistic() { sed -n "s/^stat::$1: *//p" "$found.log"; }
echo "$target: $(statistic number_of_executed_units) executions, $(statistic average_exec_per_sec) a second, nothing found except the planted bug"
