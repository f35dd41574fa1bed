#!/bin/sh
# Checks that Debian packages are installed. Installs the missing ones if the user is root, else names them.
#
#     debian.sh PACKAGE...
set -eu

missing=
for package; do
    status=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null) || status=absent
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

install="apt-get install --yes --no-install-recommends$missing"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "these packages are missing:$missing. Install them: sudo $install" >&2
    exit 1
fi
echo "installs:$missing"
{ # A fresh machine has no lists of packages, so a first try may fail.
    DEBIAN_FRONTEND=noninteractive $install -qq || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive $install -qq; }
} >/dev/null
