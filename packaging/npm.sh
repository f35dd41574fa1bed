#!/bin/sh
# Makes the npm package from the release's tarballs. It contains the library of each of their platforms.
#
#     packaging/npm.sh 0.1.0 target/artefacts target/artefacts/temporal-heartbeat-0.1.0-*.tar.gz
set -eu
version=$1
target=$(realpath "$2")
shift 2
[ $# -gt 0 ] || {
    echo "packaging: there is no tarball in $target: run \`make release\`" >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/package"

for tarball; do
    name=$(basename "$tarball" .tar.gz)
    # The names of processors and C libraries in Node.js.
    platform=$(echo "${name#temporal-heartbeat-"$version"-}" | sed -e 's/x86_64/x64/' -e 's/aarch64/arm64/' -e 's/-gnu$//')
    mkdir -p "$work/package/native/$platform"
    tar -xzf "$tarball" -C "$work"
    cp "$work/$name"/lib/libtemporal_heartbeat.so.0 "$work/package/native/$platform/" 2>/dev/null ||
        cp "$work/$name"/lib/libtemporal_heartbeat.0.dylib "$work/package/native/$platform/"
    cp "$work/$name"/share/doc/temporal-heartbeat/LICENSE-* "$work/package"
done

cd "$(dirname "$0")/../bindings/node"
cp -R README.md index.js index.d.ts lib "$work/package"
sed "s/\"version\": \"0.0.0\"/\"version\": \"$version\"/" package.json >"$work/package/package.json"
cd "$work/package"
npm pack --silent --pack-destination "$target" >/dev/null
