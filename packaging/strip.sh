#!/bin/sh
# Creates the shipped libraries from the built ones: strips them, and writes the debug information of the shared library to a
# file beside it, where debuggers find it by its name.
#
#     packaging/strip.sh target/release target/shipped
#
# BINUTILS is the prefix of the tools, for example aarch64-linux-gnu-.
set -eu
built=$1
shipped=$2
mkdir -p "$shipped"

# Returns whether the output is newer than its input.
is_fresh() { [ -e "$2" ] && [ ! "$1" -nt "$2" ]; }

need() {
    command -v "$1" >/dev/null || {
        echo "packaging: needs $1, which isn't on the PATH: install $2" >&2
        exit 1
    }
}

if [ "$(uname -s)" = Darwin ]; then
    library=libtemporal_heartbeat.dylib
    is_fresh "$built/$library" "$shipped/$library" && exit
    dsymutil "$built/$library" -o "$shipped/$library.dSYM"
    strip -x -o "$shipped/$library" "$built/$library"
    strip -S -o "$shipped/libtemporal_heartbeat.a" "$built/libtemporal_heartbeat.a"
    exit
fi

library=libtemporal_heartbeat.so
is_fresh "$built/$library" "$shipped/$library" && exit
objcopy=${BINUTILS:-}objcopy
need "$objcopy" "binutils"
"$objcopy" --only-keep-debug "$built/$library" "$shipped/$library.debug"
"$objcopy" --strip-debug "$built/libtemporal_heartbeat.a" "$shipped/libtemporal_heartbeat.a"
(
    cd "$shipped" # objcopy stores the name as given, so it must have no folder
    "$objcopy" --strip-all --add-gnu-debuglink="$library.debug" "$OLDPWD/$built/$library" "$library.new"
)
mv "$shipped/$library.new" "$shipped/$library"
