#!/bin/sh
# Packs the built platforms: tarballs, wheels, the SBOM and the checksums. The head of release.mk lists the files.
#
#     packaging/release.sh PLATFORM...
#
# VERSION is the version of Cargo.toml, RELEASE that of the tarballs, WHEEL that of the wheels, and PYTHON has hatchling.
set -eu
cd "$(dirname "$0")/.."
artefacts=$PWD/target/artefacts
rm -rf "$artefacts"
mkdir -p "$artefacts"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH VERSION
umask 022

export LICENCES=target/platforms/LICENSE-THIRD-PARTY
sbom=$artefacts/temporal-heartbeat-$RELEASE.cdx.json
"$PYTHON" packaging/third_party.py "$RELEASE" "$LICENCES" "$sbom"
for platform in "$@"; do
    shipped=target/platforms/$platform/shipped
    cli=yes
    # macOS: without the program, and for the oldest system that the library is built for.
    case $platform in darwin-*) cli=no _PYTHON_HOST_PLATFORM=macosx-11.0-${platform#darwin-} && export _PYTHON_HOST_PLATFORM ;; esac
    NAME=temporal-heartbeat-$RELEASE-$platform CLI=$cli PROGRAM=$shipped/temporal-heartbeat PAGES=target/platforms/pages \
        packaging/dist.sh "$shipped" "$artefacts" >/dev/null
    packaging/wheel.sh "$WHEEL" "$PWD/$shipped" "$PWD/$LICENCES" "$sbom" "$artefacts" >/dev/null
done
if [ "$RELEASE" = "$VERSION" ]; then # a source distribution has the version of Cargo.toml
    (cd bindings/python && "$PYTHON" -m hatchling build -t sdist -d "$artefacts" >/dev/null)
fi
cd "$artefacts"
sha256() { sha256sum "$@" 2>/dev/null || shasum -a 256 "$@"; }
sha256 -- *.tar.gz *.whl *.cdx.json >SHA256SUMS
ls -l
