//! Refuses systems on which the library can't work, with one error in place of many.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_CFG_UNIX").is_none() {
        println!(
            "cargo::error=this library needs POSIX: fork handlers, descriptors and signals. On Windows, build it in WSL 2, \
             which is Linux (docs/guide/install.md, \"Platforms\")"
        );
    }
}
