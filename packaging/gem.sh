#!/bin/sh
# Makes the gem of one platform from the release's tarball.
#
#     packaging/gem.sh 0.1.0 target/artefacts/temporal-heartbeat-0.1.0-linux-x86_64-gnu.tar.gz target/artefacts
set -eu
THB_VERSION=$1 tarball=$2 target=$(realpath "$3")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

name=$(basename "$tarball" .tar.gz)
# x86_64-linux, x86_64-linux-musl, arm64-darwin
THB_GEM_PLATFORM=$(echo "${name#temporal-heartbeat-"$THB_VERSION"-}" | sed -e 's/-gnu$//' -e 's/^\([a-z]*\)-\([a-z0-9_]*\)/\2-\1/')
tar -xzf "$tarball" -C "$work"
# All files have the time of the tarball's, so that the gem is reproducible.
SOURCE_DATE_EPOCH=$(ruby -e 'print File.mtime(ARGV[0]).to_i' "$work/$name")
export THB_VERSION THB_GEM_PLATFORM SOURCE_DATE_EPOCH

mkdir "$work/gem"
cp -R "$(dirname "$0")/../bindings/ruby/"README.md "$(dirname "$0")/../bindings/ruby/"*.gemspec "$(dirname "$0")/../bindings/ruby/lib" "$work/gem"
native=$work/gem/lib/temporal_heartbeat/native
mkdir "$native"
cp "$work/$name"/lib/libtemporal_heartbeat.so.0 "$native" 2>/dev/null || cp "$work/$name"/lib/libtemporal_heartbeat.0.dylib "$native"
cp "$work/$name"/share/doc/temporal-heartbeat/LICENSE-* "$work/gem"
cd "$work/gem"
gem build --silent --output "$target/temporal_heartbeat-$THB_VERSION-$THB_GEM_PLATFORM.gem" temporal_heartbeat.gemspec
