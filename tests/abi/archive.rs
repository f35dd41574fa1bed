//! Checks the static library: it exports exactly the header's functions, and links next to other Rust libraries.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use crate::{
    built::{build_dir, built, library, output, root, tool},
    prototypes::names,
};

fn archive() -> PathBuf {
    built(fs::canonicalize(library()).unwrap().with_extension("a"))
}

#[test]
fn archive_exports_exactly_the_functions_of_the_header() {
    let Some(mut nm) = tool("nm") else { return };
    let listed = output(nm.args(["--extern-only", "--defined-only", "--format=posix"]).arg(archive()));
    let symbols = listed.lines().filter_map(|line| line.split_once(' ').map(|(name, _)| name.to_owned()));
    // The preceding line names the object.
    let exported: BTreeSet<_> = symbols.filter(|name| !name.ends_with(':')).collect();
    assert_eq!(exported, names());
}

#[test]
fn archive_links_next_to_another_rust_library_in_any_order() {
    let archive = archive();
    let path = |name: &str| build_dir().join(name);
    fs::write(
        path("other.rs"),
        "#[unsafe(no_mangle)] pub extern \"C\" fn other() -> i32 {\n\
             let panicked = std::panic::catch_unwind(|| std::env::vars().next().unwrap().0.parse::<u8>().unwrap());\n\
             std::thread::spawn(move || if panicked.is_err() { 42 } else { 0 }).join().unwrap()\n\
         }\n",
    )
    .unwrap();
    fs::write(
        path("beside.c"),
        "#include <stdio.h>\n#include \"temporal_heartbeat.h\"\nint other(void);\n\
         int main(void) {\n\
             const char refused[] = \"{\\\"address\\\":\\\"127.0.0.1:1\\\",\\\"connect_timeout_ms\\\":100}\";\n\
             int status = thb_connect(refused, sizeof refused - 1, NULL);\n\
             printf(\"%s %d\\n\", thb_status_name(status), other());\n\
         }\n",
    )
    .unwrap();
    let rustc = std::env::var("RUSTC").unwrap_or("rustc".into());
    output(
        Command::new(rustc)
            .args(["-O", "--edition=2024", "--crate-type=staticlib", "-o"])
            .arg(path("libother.a"))
            .arg(path("other.rs")),
    );
    let other = path("libother.a");
    for (first, second) in [(&archive, &other), (&other, &archive)] {
        let mut cc = Command::new("cc");
        cc.arg(path("beside.c")).arg(format!("-I{}", root().join("include").display()));
        cc.args([first, second]).args(["-lpthread", "-ldl", "-lm", "-o"]).arg(path("beside"));
        output(&mut cc);
        let said = Command::new(path("beside")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), "THB_UNAVAILABLE 42\n");
    }
}
