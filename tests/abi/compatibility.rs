//! A program compiled against an earlier header keeps working. `baseline/` holds the declarations of the last release's header.
//!
//! abidiff compares libraries, so each header becomes a library: one function with an empty body for each declaration, and
//! one more for each enumeration, because no function of the header has an enumeration in its signature.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    built::{Program, build_dir, output, root, tool},
    fake::{Answer, Fake},
};

fn baseline() -> PathBuf {
    root().join("tests/abi/baseline/temporal_heartbeat.h")
}

/// Builds a library with the interface of a header and debug information that describes it.
fn stub(header: &str, name: &str) -> PathBuf {
    let path = |extension: &str| build_dir().join(name).with_extension(extension);
    fs::write(path("h"), header).unwrap();
    let declared = output(Command::new("cc").args(["-E", "-P"]).arg(path("h")));
    let ours = declared.find("typedef enum thb_status").unwrap();
    let mut source = String::from(&declared[..ours]);
    for statement in declared[ours..].split_inclusive(';') {
        let is_function = statement.contains('(');
        let body = if statement.trim_start().starts_with("void ") { "{}" } else { "{ return 0; }" };
        source += &if is_function { statement.replace(';', body) } else { statement.to_owned() };
    }
    let enums = declared[ours..].split("typedef enum ").skip(1);
    for name in enums.filter_map(|after| after.split([' ', '{']).next()) {
        source += &format!("void stub_of_{name}(enum {name} any) {{ (void)any; }}\n");
    }
    fs::write(path("c"), source).unwrap();
    output(Command::new("cc").args(["-g", "-shared", "-fPIC", "-w", "-o"]).arg(path("so")).arg(path("c")));
    path("so")
}

/// Returns the incompatibilities of a newer header that abidiff reports; empty if there are none. Returns `None` when abidiff isn't installed.
fn objections(before: &str, after: &str, name: &str) -> Option<String> {
    let mut abidiff = tool("abidiff")?;
    let (before, after) = (stub(before, &format!("{name}-before")), stub(after, &format!("{name}-after")));
    let found = abidiff.arg("--no-added-syms").arg(before).arg(after).output().unwrap();
    // The exit code is a bit set: 4 is a change, 8 an incompatible change; 1 and 2 are errors of abidiff itself.
    let said = String::from_utf8(found.stdout).unwrap();
    assert!(found.status.code().unwrap() & 3 == 0, "{said}{}", String::from_utf8_lossy(&found.stderr));
    Some(if found.status.success() { String::new() } else { said })
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn header_is_compatible_with_the_last_release() {
    let now = read(&root().join("include/temporal_heartbeat.h"));
    let Some(said) = objections(&read(&baseline()), &now, "now") else { return };
    assert!(said.is_empty(), "an incompatible change of the ABI:\n{said}");
}

#[test]
fn incompatible_change_is_detected_and_addition_is_allowed() {
    let now = read(&baseline());
    for (change, from, to) in [
        ("removed", "const char *thb_version(void);", ""),
        (
            "parameter",
            "const char *thb_status_name(thb_status_t status);",
            "const char *thb_status_name(int64_t status);",
        ),
        ("result", "uint32_t thb_abi_version(void);", "uint64_t thb_abi_version(void);"),
        ("status", "THB_TIMEOUT = 6,", "THB_TIMEOUT = 60,"),
        ("signal", "THB_SIGNAL_RESET = 4,", ""),
        ("handle", "typedef uint64_t thb_activity_t;", "typedef uint32_t thb_activity_t;"),
    ] {
        assert!(now.contains(from), "{from}");
        let Some(said) = objections(&now, &now.replace(from, to), change) else { return };
        assert!(!said.is_empty(), "{change}: {from} -> {to} wasn't noticed");
    }
    let more = now.replace("THB_INTERNAL = 26,", "THB_INTERNAL = 26,\n    THB_MORE = 27,");
    let more = more
        .replace("const char *thb_version(void);", "const char *thb_version(void);\nint32_t thb_more(void);");
    assert!(more.contains("THB_MORE") && more.contains("thb_more"));
    assert_eq!(objections(&now, &more, "added").unwrap_or_default(), "");
}

#[test]
fn program_compiled_against_the_last_release_runs() {
    let fake = Fake::start(|_| Answer::ok());
    // The first include path, so the old header takes precedence over the current one.
    let headers = format!("-iquote{}", baseline().parent().unwrap().display());
    let program = Program::built_with("baseline_program.c", &[&headers]);
    program
        .variable("TEMPORAL_ADDRESS", fake.address.to_string())
        .variable("TEMPORAL_ACTIVITY_TASK_TOKEN", "dG9rZW4=")
        .run();
}
