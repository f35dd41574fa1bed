//! `include/temporal_heartbeat.h` is the output of cbindgen for `src/abi`, and compiles as C and as C++.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The source files of the header, in the header's order.
const SOURCES: [&str; 11] = [
    "types",
    "client",
    "rpc",
    "activity",
    "watch",
    "queue",
    "worker",
    "details",
    "errors",
    "telemetry",
    "about",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn generated() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let builder = SOURCES.iter().fold(cbindgen::Builder::new().with_config(config), |builder, name| {
        builder.with_src(root().join("src/abi").join(name).with_extension("rs"))
    });
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

/// Compiles `source`, and returns the compiler's warnings and errors as the error.
fn compile(compiler: &str, options: &[&str], source: &Path) -> Result<(), String> {
    let output = Command::new(compiler)
        .args(options)
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"])
        .arg(source)
        .output()
        .map_err(|error| format!("{compiler} can't be run: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn header_is_generated_from_the_sources() {
    let path = root().join("include/temporal_heartbeat.h");
    if env::var_os("THB_UPDATE_HEADER").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, generated()).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == generated(), "{} is stale: run `make header`", path.display());
}

#[test]
fn header_has_at_most_1200_lines() {
    let lines = generated().lines().count();
    assert!(lines <= 1200, "{lines} lines");
}

#[test]
fn header_compiles_as_c11_and_cpp17_without_warnings() {
    let header = root().join("include/temporal_heartbeat.h");
    compile("cc", &["-std=c11", "-x", "c"], &header).unwrap();
    compile("c++", &["-std=c++17", "-x", "c++"], &header).unwrap();
}

#[test]
fn compiler_warning_is_detected() {
    let directory = tempdir("warning");
    let source = directory.join("bad.c");
    fs::write(&source, "#include \"temporal_heartbeat.h\"\nint f(void) { int unused; return 0; }\n").unwrap();
    let include = format!("-I{}", root().join("include").display());
    assert!(compile("cc", &["-std=c11", &include], &source).unwrap_err().contains("unused"));
    fs::remove_dir_all(directory).unwrap();
}

fn tempdir(name: &str) -> PathBuf {
    let path = env::temp_dir().join(format!("thb-{name}-{}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path
}
