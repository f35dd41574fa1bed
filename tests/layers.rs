//! Checks that the folders of `src` are layers: a file imports only from its own layer and from lower ones.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The layers from top to bottom. `proto` is generated, and belongs to `model`.
const LAYERS: [&str; 13] = [
    "abi",
    "api",
    "process",
    "worker",
    "activity",
    "client",
    "transport",
    "runtime",
    "telemetry",
    "config",
    "model",
    "proto",
    "sys",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn level(layer: &str) -> usize {
    LAYERS
        .iter()
        .position(|known| *known == layer)
        .unwrap_or_else(|| panic!("{layer} isn't in LAYERS: add it at its place in the order"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Returns a file's code without comments and without the tests at the end of the file, which may use all layers.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Returns the first names after each `crate::`, including those of a group.
fn imported_layers(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(first_name(rest));
            continue;
        };
        let mut depth = 0;
        let mut is_start = true;
        for (index, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => is_start = true,
                _ if is_start && !character.is_whitespace() => {
                    names.insert(first_name(&group[index..]));
                    is_start = false;
                }
                _ => {}
            }
        }
    }
    names
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

#[test]
fn file_imports_only_from_its_layer_and_the_layers_below() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for layer in LAYERS.iter().filter(|layer| **layer != "proto") {
        for file in rust_files(&source().join(layer)) {
            for imported in imported_layers(&code(&file)) {
                checked += 1;
                if level(&imported) < level(layer) {
                    wrong.push(format!("{} imports crate::{imported}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports from a higher layer:\n{}", wrong.join("\n"));
    assert!(checked > 100, "the imports weren't found: {checked}");
}

#[test]
fn every_source_file_is_in_a_layer() {
    for entry in fs::read_dir(source()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(LAYERS.contains(&name.as_str()) || ["lib.rs", "bin"].contains(&name.as_str()), "{name}");
    }
}

#[test]
fn unsafe_code_is_in_abi_and_sys_only() {
    for layer in LAYERS.iter().filter(|layer| !["abi", "sys", "proto"].contains(*layer)) {
        for file in rust_files(&source().join(layer)) {
            let has_unsafe =
                code(&file).lines().any(|line| line.contains("unsafe {") || line.contains("unsafe fn"));
            assert!(!has_unsafe, "{} has unsafe code: move it to src/sys", file.display());
        }
    }
}

#[test]
fn imports_are_found_in_groups_and_paths() {
    let code = "use crate::{model::{error::Error, status}, sys};\nlet x = crate::client::Client::new();";
    let found: Vec<_> = imported_layers(code).into_iter().collect();
    assert_eq!(found, ["client", "model", "sys"]);
}
