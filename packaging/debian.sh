#!/bin/sh
# Unpacks Debian packages, and the packages that they depend on, into a folder. It needs no root, and changes nothing else.
#
#     packaging/debian.sh FOLDER SUITE ARCHITECTURE PACKAGE...
#
# A folder that has these packages already is left as it is. SECURITY=no omits the security updates, which old suites don't have for all
# architectures.
set -eu
folder=$1 suite=$2 architecture=$3
shift 3
request="$suite $architecture $*"
[ "$(cat "$folder.unpacked" 2>/dev/null)" != "$request" ] || exit 0
command -v apt-get >/dev/null || {
    echo "packaging: needs apt-get to fetch $* of Debian $suite" >&2
    exit 1
}

rm -rf "$folder" "$folder.unpacked"
mkdir -p "$folder"
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/lists/partial" "$state/archives/partial" "$state/none"
touch "$state/status"
mirror=${DEBIAN_MIRROR:-http://deb.debian.org}
signed='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
echo "deb $signed $mirror/debian $suite main" >"$state/sources.list"
[ "${SECURITY:-yes}" = no ] || echo "deb $signed $mirror/debian-security $suite-security main" >>"$state/sources.list"

# With a state of its own, in which nothing is installed. So this computer's architecture and packages make no difference.
apt() {
    apt-get --quiet=2 --yes -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o Dir::State="$state" \
        -o Dir::State::status="$state/status" -o Dir::Cache="$state" -o Dir::Etc::sourcelist="$state/sources.list" \
        -o Dir::Etc::sourceparts="$state/none" -o Dir::Etc::preferencesparts="$state/none" -o APT::Sandbox::User="$(id -un)" \
        -o APT::Install-Recommends=false -o Debug::NoLocking=1 "$@"
}
apt update
apt --download-only install "$@" >/dev/null
for package in "$state"/archives/*.deb; do dpkg -x "$package" "$folder"; done
echo "$request" >"$folder.unpacked"
