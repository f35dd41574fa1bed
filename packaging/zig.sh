#!/bin/sh
# Runs zig such that equal sources become equal files in any folder.
#
#     ZIG=zig ZIG_GLOBAL_CACHE_DIR=cache packaging/zig.sh cc ...
#
# zig links objects of its own, such as libunwind, and compiles them when a program needs them. Their debug information contains the path of
# the folder. So this removes it from new ones, and then links again. BINUTILS is the prefix of objcopy and ar.
set -eu
ZIG_LOCAL_CACHE_DIR=$(mktemp -d)
export ZIG_LOCAL_CACHE_DIR
trap 'rm -rf "$ZIG_LOCAL_CACHE_DIR"' EXIT
"$ZIG" "$@"
case $1 in cc | c++) ;; *) exit ;; esac # it links nothing, and its output isn't printed twice

stripped=$ZIG_GLOBAL_CACHE_DIR/stripped
[ -e "$stripped" ] || touch -d @0 "$stripped"
# Arguments: the extension.
new() { find "$ZIG_GLOBAL_CACHE_DIR/o" -name "*.$1" -newer "$stripped" 2>/dev/null || true; }
objects=$(new o) archives=$(new a)
if [ -n "$objects$archives" ]; then
    echo "$objects" | while read -r object; do [ -z "$object" ] || "${BINUTILS:-}objcopy" --strip-debug "$object"; done
    echo "$archives" | while read -r archive; do
        [ -n "$archive" ] || continue
        members=$("${BINUTILS:-}ar" t "$archive") # their paths
        rm "$archive"
        # shellcheck disable=SC2086 # $members is a list
        "${BINUTILS:-}ar" rcsD "$archive" $members
    done
    touch "$stripped"
    rm -rf "$ZIG_LOCAL_CACHE_DIR"
    "$ZIG" "$@"
fi
