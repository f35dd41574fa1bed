#!/bin/sh
# Lets the command-line program write its manual pages and completions.
#
#     packaging/pages.sh target/release/temporal-heartbeat target
set -eu
program=$1 pages=$2
mkdir -p "$pages/completions"
"$program" man "$pages/man"
for shell in bash zsh fish; do "$program" completions $shell >"$pages/completions/$shell"; done
