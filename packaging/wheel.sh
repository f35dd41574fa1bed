#!/bin/sh
# Packs the Python package with the library of a platform that is built already.
#
#     packaging/wheel.sh VERSION target/platforms/linux-x86_64-gnu/shipped LICENCES SBOM target/artefacts
#
# PYTHON has hatchling. The files are copied first, so that the wheel contains exactly those of git.
set -eu
version=$1 shipped=$2 licences=$3 sbom=$4 artefacts=$5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
changed=$(git stash create) # a snapshot contains local changes
git archive "${changed:-HEAD}" bindings/python Cargo.toml LICENSE-MIT LICENSE-APACHE | tar -xC "$work"
sed -i.old "s/^version = .*/version = \"$version\"/" "$work/Cargo.toml"
cp "$licences" "$work/bindings/python/LICENSE-THIRD-PARTY"
cd "$work/bindings/python"
TEMPORAL_HEARTBEAT_SHIPPED=$shipped TEMPORAL_HEARTBEAT_SBOM=$sbom "$PYTHON" -m hatchling build -t wheel -d "$artefacts"
