//! Checks the sources and the licences of the library's dependencies.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns all packages that are compiled into the shipped library or needed to build it, for this platform.
fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or("cargo".into());
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let arguments = ["metadata", "--format-version=1", "--all-features", "--filter-platform", &platform];
    let output = Command::new(cargo).current_dir(root()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Returns the licences that `deny.toml` allows. The file lists them on one line.
fn allowed() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("deny.toml")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("allow = ")).unwrap();
    serde_json::from_str(line).unwrap()
}

/// Returns whether one alternative of a licence expression consists only of allowed licences.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" OR ").any(|choice| choice.split(" AND ").all(|one| allowed.contains(one.trim())))
}

#[test]
fn dependencies_come_from_the_registry_under_an_allowed_licence() {
    let allowed = allowed();
    for package in packages() {
        let (name, licence) = (&package["name"], package["license"].as_str().unwrap_or_default());
        let is_ours = package["source"].is_null();
        assert!(is_ours || package["source"].as_str().unwrap().starts_with("registry+"), "{name}");
        // cbindgen is the one exception of deny.toml: it writes the header and isn't part of the library.
        let excepted = name == "cbindgen" && licence == "MPL-2.0";
        assert!(excepted || is_allowed(licence, &allowed), "{name} is under {licence:?}");
    }
}

#[test]
fn other_licence_is_detected() {
    let allowed = allowed();
    for (expression, is) in [
        ("MIT OR Apache-2.0", true),
        ("GPL-3.0-only OR MIT", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("GPL-3.0-only", false),
        ("MIT AND GPL-3.0-only", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), is, "{expression}");
    }
}
