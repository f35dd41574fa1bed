#!/bin/sh
# Packs the library into a relocatable tarball and its debug information into a second one. Writes checksums of all files in
# the folder. NAME is the name of the tarball and of its folder.
#
#     packaging/dist.sh target/shipped target/dist
set -eu
shipped=$1
dist=$2
name=${NAME:-temporal-heartbeat-$VERSION-$(uname -s | tr '[:upper:]' '[:lower:]')-$(uname -m)}
mkdir -p "$dist"
rm -rf "${dist:?}/$name"
root=$(cd "$dist" && pwd)/$name

SHIPPED=$shipped RELOCATABLE=1 PREFIX=$root LIBDIR=$root/lib INCLUDEDIR=$root/include BINDIR=$root/bin DATADIR=$root/share DESTDIR='' \
    "$(dirname "$0")/install.sh" install

# Makes reproducible archives: sorted names, no owners, and the time of the last commit.
packed() {
    if tar --version 2>/dev/null | grep -q GNU; then
        time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
        tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$time" -C "$1" -cf - "$2" | gzip -n
    else
        tar -C "$1" -czf - "$2"
    fi
}
packed "$dist" "$name" >"$dist/$name.tar.gz"
rm -rf "${dist:?}/$name"
for debug in "$shipped"/*.debug "$shipped"/*.dSYM; do
    [ -e "$debug" ] && packed "$shipped" "$(basename "$debug")" >"$dist/$name-debug.tar.gz"
done

cd "$dist"
for file in *.tar.gz *.whl; do
    [ -e "$file" ] && { sha256sum "$file" 2>/dev/null || shasum -a 256 "$file"; }
done >SHA256SUMS
cat SHA256SUMS
