//! The dynamic section and the symbols of the built library.

use std::collections::BTreeSet;

use crate::{
    built::{library, output, tool},
    prototypes::names,
};

fn readelf() -> Option<String> {
    Some(output(tool("readelf")?.args(["--dynamic", "--wide"]).arg(library())))
}

#[test]
fn library_exports_exactly_the_functions_of_the_header() {
    let Some(mut nm) = tool("nm") else { return };
    let listed = output(nm.args(["--dynamic", "--defined-only", "--format=posix"]).arg(library()));
    let exported: BTreeSet<_> =
        listed.lines().map(|line| line.split([' ', '@']).next().unwrap().to_owned()).collect();
    assert_eq!(exported, names());
}

#[test]
fn soname_has_the_major_version() {
    let Some(dynamic) = readelf() else { return };
    let major = temporal_heartbeat::abi::types::THB_ABI_VERSION >> 16;
    assert!(dynamic.contains(&format!("Library soname: [libtemporal_heartbeat.so.{major}]")), "{dynamic}");
}

#[test]
fn library_is_never_unloaded() {
    let Some(dynamic) = readelf() else { return };
    assert!(dynamic.lines().any(|line| line.contains("FLAGS_1") && line.contains("NODELETE")), "{dynamic}");
}

#[test]
fn library_needs_only_the_c_library() {
    let Some(dynamic) = readelf() else { return };
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    let needed: BTreeSet<_> = needed.filter_map(|line| line.split(['[', ']']).nth(1)).collect();
    let c_library = |name: &&str| {
        ["libc.so", "libgcc_s.so", "libm.so", "libpthread.so", "libdl.so", "ld-linux"]
            .iter()
            .any(|known| name.starts_with(known))
    };
    assert!(needed.iter().all(c_library), "{needed:?}");
}
