#!/bin/sh
# Installs or uninstalls the package.
#
#     packaging/install.sh check|install|uninstall
#
# SHIPPED has the libraries, PROGRAM is the command-line program, and PAGES has the folders man and completions; by default those of
# `make shipped` and `make cli`. LICENCES is the file with the licences of the crates that are inside.
# CLI=no omits the command-line program.
# PREFIX, LIBDIR, INCLUDEDIR, BINDIR and DATADIR are the target directories, DESTDIR is prepended to them, and VERSION is the
# package's version. `make install` sets them all. With RELOCATABLE=1 no installed file contains an absolute path.
set -eu
cd "$(dirname "$0")/.."
shipped=${SHIPPED:-target/shipped} program=${PROGRAM:-target/release/temporal-heartbeat} pages=${PAGES:-target}
major=$(sed -n 's/.*THB_ABI_VERSION \([0-9]*\).*/\1/p' include/temporal_heartbeat.h)
major=$((major >> 16))
destination=${DESTDIR:-}
prefix=$PREFIX libdir=$LIBDIR includedir=$INCLUDEDIR

fail() {
    echo "$1: $2" >&2
    exit 1
}

asked=$1
[ "$asked" != check ] || asked=install

case $prefix in
/*) ;;
*) fail "make $asked" "PREFIX is \"$prefix\": it must be an absolute path" ;;
esac

cannot_write() {
    fail "make install" "can't write into $1: choose another PREFIX (it is $prefix), or run with write permission"
}

# Lists the files to install: mode, source, target. `link` creates a symbolic link.
files() {
    if [ -e $shipped/libtemporal_heartbeat.dylib ]; then
        echo "755 $shipped/libtemporal_heartbeat.dylib $libdir/libtemporal_heartbeat.$major.dylib"
        echo "link libtemporal_heartbeat.$major.dylib $libdir/libtemporal_heartbeat.dylib"
    else
        echo "755 $shipped/libtemporal_heartbeat.so $libdir/libtemporal_heartbeat.so.$VERSION"
        echo "link libtemporal_heartbeat.so.$VERSION $libdir/libtemporal_heartbeat.so.$major"
        echo "link libtemporal_heartbeat.so.$major $libdir/libtemporal_heartbeat.so"
    fi
    echo "644 $shipped/libtemporal_heartbeat.a $libdir/libtemporal_heartbeat.a"
    for header in h hpp; do
        echo "644 include/temporal_heartbeat.$header $includedir/temporal_heartbeat.$header"
    done
    for kind in temporal_heartbeat temporal_heartbeat-static; do
        echo "644 packaging/$kind.pc.in $libdir/pkgconfig/$kind.pc"
    done
    for kind in config config-version; do
        echo "644 packaging/cmake/temporal_heartbeat-$kind.cmake.in $libdir/cmake/temporal_heartbeat/temporal_heartbeat-$kind.cmake"
    done
    if [ "${CLI:-yes}" = yes ]; then
        name=temporal-heartbeat
        echo "755 $program $BINDIR/$name"
        for page in "$pages"/man/*.1; do
            echo "644 $page $DATADIR/man/man1/$(basename "$page")"
        done
        echo "644 $pages/completions/bash $DATADIR/bash-completion/completions/$name"
        echo "644 $pages/completions/zsh $DATADIR/zsh/site-functions/_$name"
        echo "644 $pages/completions/fish $DATADIR/fish/vendor_completions.d/$name.fish"
    fi
    for text in README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE; do
        echo "644 $text $DATADIR/doc/temporal-heartbeat/$text"
    done
    [ -z "${LICENCES:-}" ] || echo "644 $LICENCES $DATADIR/doc/temporal-heartbeat/LICENSE-THIRD-PARTY"
}

# Fills in the placeholders of a template.
filled() {
    if [ "${RELOCATABLE:-0}" = 1 ]; then
        # pkg-config and CMake provide the folder of their file: lib/pkgconfig, lib/cmake/temporal_heartbeat.
        pc_prefix='${pcfiledir}/../..' pc_libdir='${prefix}/lib' pc_includedir='${prefix}/include'
        cmake_includedir='${CMAKE_CURRENT_LIST_DIR}/../../../include'
        unquoted='s|"||g' # pkg-config quotes its own variables
    else
        unquoted=''
        pc_prefix=$prefix pc_libdir=$libdir pc_includedir=$includedir cmake_includedir=$includedir
    fi
    case $1 in *.pc.in) ;; *) unquoted='' ;; esac
    sed -e "$unquoted" -e "s|@VERSION@|$VERSION|" -e "s|@PREFIX@|$pc_prefix|" -e "s|@LIBDIR@|$pc_libdir|" -e "s|@SOVERSION@|$major|" \
        -e "s|@INCLUDEDIR@|$pc_includedir|" -e "s|@CMAKE_INCLUDEDIR@|$cmake_includedir|" "$1"
}

put() {
    target=$destination$3
    directory=$(dirname "$target")
    mkdir -p "$directory" 2>/dev/null && [ -w "$directory" ] || cannot_write "$directory"
    case $1:$2 in
    link:*) ln -sf "$2" "$target" ;;
    # Strips symbols that only a debugger needs.
    *:*/release/*) strip -o "$target.new" "$2" && chmod "$1" "$target.new" && mv "$target.new" "$target" ;;
    *:*.in) filled "$2" >"$target" && chmod "$1" "$target" ;;
    # Copies and renames, so that running programs keep the old file.
    *) cp "$2" "$target.new" && chmod "$1" "$target.new" && mv "$target.new" "$target" ;;
    esac
}

case $1 in
check) # before anything is compiled
    for place in "$libdir" "$includedir" "$DATADIR"; do
        existing=$destination$place
        while [ ! -e "$existing" ]; do existing=$(dirname "$existing"); done
        [ -d "$existing" ] && [ -w "$existing" ] || cannot_write "$destination$place"
    done
    ;;
install)
    files | while read -r mode from to; do put "$mode" "$from" "$to"; done
    [ -n "$destination" ] || [ "${RELOCATABLE:-0}" = 1 ] ||
        echo "Installed into $prefix. If programs don't find the library: ldconfig, or LD_LIBRARY_PATH=$libdir"
    ;;
uninstall)
    files | while read -r _ _ to; do
        rm -f "$destination$to" 2>/dev/null || fail "make uninstall" "can't remove $destination$to: run with write permission"
    done
    rm -f "$destination$DATADIR"/man/man1/temporal-heartbeat*.1
    rmdir "$destination$libdir/cmake/temporal_heartbeat" "$destination$DATADIR/doc/temporal-heartbeat" 2>/dev/null || true
    ;;
esac
