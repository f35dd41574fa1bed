#!/bin/sh
# Links a static library from Rust into one object that exports thb_* only.
#
#     packaging/seal.sh libtemporal_heartbeat.a
#
# Such a library exports all of its symbols, even those of Rust's standard library, so a program couldn't link two of them. The object
# has no section groups, because the linker would keep only one of the groups with the same name. Bitcode is removed: only Rust's linker
# can read it, and other linkers fail. BINUTILS is the prefix of the tools, for example aarch64-linux-gnu-.
set -eu
archive=$1
tools=${BINUTILS:-}
"${tools}ld" -r --force-group-allocation --whole-archive "$archive" -o "$archive.o"
"${tools}objcopy" --wildcard --keep-global-symbol='thb_*' --strip-debug --remove-section=.llvmbc --remove-section=.llvmcmd "$archive.o"
# Without a time stamp: equal objects make equal archives. The member has the same name in every folder.
rm -f "$archive"
(cd "$(dirname "$archive")" && "${tools}ar" rcsD "$(basename "$archive")" "$(basename "$archive").o")
rm "$archive.o"
