//! The preprocessed header, otherwise unedited, declares the library to languages that read C.

use std::{fs, path::PathBuf, process::Command};

use crate::built::{build_dir, library, output, root, tool};

/// Writes the output of `cc -E -P` for the header to a file, and returns its path.
fn declarations() -> PathBuf {
    let header = root().join("include/temporal_heartbeat.h");
    let text = output(Command::new("cc").args(["-E", "-P"]).arg(header));
    let path = build_dir().join("declarations.h");
    // Two tests write this file. Rename it into place, because a test must not read half of it.
    let fresh = build_dir().join(format!("declarations-{:?}.h", std::thread::current().id()));
    fs::write(&fresh, text).unwrap();
    fs::rename(fresh, &path).unwrap();
    path
}

fn says_the_version(program: &str, options: &[&str], script: &str) {
    let Some(mut command) = tool(program) else { return };
    let said = output(command.args(options).arg(script).arg(declarations()).arg(library()));
    assert_eq!(said.trim(), format!("{} THB_NOT_FOUND", env!("CARGO_PKG_VERSION")));
}

#[test]
fn luajit_parses_the_header() {
    let script = build_dir().join("version.lua");
    fs::write(
        &script,
        "local ffi = require('ffi')\n\
         ffi.cdef(io.open(arg[1]):read('*a'))\n\
         local thb = ffi.load(arg[2])\n\
         io.write(ffi.string(thb.thb_version()), ' ', ffi.string(thb.thb_status_name(thb.THB_NOT_FOUND)))\n",
    )
    .unwrap();
    says_the_version("luajit", &[], script.to_str().unwrap());
}

#[test]
fn php_parses_the_header() {
    let script = build_dir().join("version.php");
    fs::write(
        &script,
        "<?php\n\
         $thb = FFI::cdef(file_get_contents($argv[1]), $argv[2]);\n\
         echo $thb->thb_version(), ' ', $thb->thb_status_name($thb->THB_NOT_FOUND), \"\\n\";\n",
    )
    .unwrap();
    says_the_version("php", &["-d", "ffi.enable=1"], script.to_str().unwrap());
}
