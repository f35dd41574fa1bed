#!/bin/sh
# Packs the Go module with the libraries of the release's tarballs for Linux, as a folder that Go reads like a module proxy.
#
#     packaging/go.sh 0.1.0 target/artefacts target/artefacts/temporal-heartbeat-0.1.0-*.tar.gz
set -eu
version=$1
target=$(realpath "$2")
shift 2
cd "$(dirname "$0")/.."
name=temporal-heartbeat-$version-go-module
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

libraries=''
for tarball; do
    folder=$(basename "$tarball" .tar.gz)
    platform=${folder#temporal-heartbeat-"$version"-}
    case $platform in linux-*) ;; *) continue ;; esac
    tar -xzf "$tarball" -C "$work" "$folder/lib/libtemporal_heartbeat.a" "$folder/share/doc/temporal-heartbeat"
    libraries="$libraries $platform=$work/$folder/lib/libtemporal_heartbeat.a"
    LICENCES=$work/$folder/share/doc/temporal-heartbeat/LICENSE-THIRD-PARTY
done
[ -n "$libraries" ] || {
    echo "packaging: there is no tarball for Linux in $target: run \`make release\`" >&2
    exit 1
}
export LICENCES
# shellcheck disable=SC2086 # a list
"${PYTHON:-python3}" packaging/go_module.py "$work/$name" "v$version" $libraries >/dev/null
tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime="@$(git log -1 --format=%ct)" -C "$work" -cf - "$name" |
    gzip -n >"$target/$name.tar.gz"
