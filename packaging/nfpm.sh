#!/bin/sh
# Makes the deb and rpm packages of one platform from the release's tarball.
#
#     packaging/nfpm.sh 0.1.0 target/artefacts/temporal-heartbeat-0.1.0-linux-x86_64-gnu.tar.gz target/artefacts
set -eu
export VERSION="$1"
tarball=$(realpath "$2")
target=$(realpath "$3")
cd "$(dirname "$0")/.."
nfpm=$(packaging/packers.sh)/nfpm

name=$(basename "$tarball" .tar.gz)
machine=$(echo "${name#temporal-heartbeat-"$VERSION"-}" | cut -d- -f2)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# All files have the time of the tarball's, so that the packages are reproducible.
tar -xzf "$tarball" -C "$work"
SOURCE_DATE_EPOCH=$(stat -c %Y "$work/$name/bin/temporal-heartbeat")
library=$(cd "$work/$name/lib" && echo libtemporal_heartbeat.so.*.*.*)
export SOURCE_DATE_EPOCH LIBRARY="$library"
SONAME=$(readlink "$work/$name/lib/libtemporal_heartbeat.so")
export SONAME

# The oldest C library that has all symbol versions, and whether libgcc is linked at run time.
files="$work/$name/bin/temporal-heartbeat $work/$name/lib/$library"
# shellcheck disable=SC2086 # $files is a list
glibc=$(readelf --version-info --wide $files | grep -o 'GLIBC_2\.[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -n 1)
# shellcheck disable=SC2086
needs_libgcc=$(readelf --dynamic --wide $files | grep -c 'libgcc_s' || true)

# Arguments: the kind of package, and the folder of libraries there.
package() {
    export ROOT="$work/$1" LIBDIR="$2"
    cp -a "$work/$name" "$ROOT"
    # The files for pkg-config and CMake find the library at the place where this system has it.
    sed -i -e "s|^prefix=.*|prefix=/usr|" -e "s|^libdir=.*|libdir=$LIBDIR|" "$ROOT"/lib/pkgconfig/*.pc
    sed -i 's|"${CMAKE_CURRENT_LIST_DIR}/../../../include"|/usr/include|' "$ROOT"/lib/cmake/temporal_heartbeat/*-config.cmake
    find "$ROOT/lib" -name '*.pc' -o -name '*.cmake' | xargs touch --date="@$SOURCE_DATE_EPOCH"
    for part in runtime development; do
        "$nfpm" package --config "packaging/nfpm/$part.yaml" --packager "$1" --target "$target" >/dev/null
    done
}

case $machine in x86_64) ARCH=amd64 ;; aarch64) ARCH=arm64 ;; *) ARCH=$machine ;; esac
export ARCH
newer=$(echo "$VERSION" | tr - '~')
[ "$needs_libgcc" = 0 ] && LIBGCC='' || LIBGCC=libgcc-s1
export DEVELOPMENT=dev LIBC="libc6 (>= $glibc)" LIBGCC RUNTIME="temporal-heartbeat (= $newer)"
package deb "/usr/lib/$machine-linux-gnu"
[ "$needs_libgcc" = 0 ] || LIBGCC=libgcc
export DEVELOPMENT=devel LIBC="glibc >= $glibc" LIBGCC RUNTIME="temporal-heartbeat = $newer"
package rpm /usr/lib64
