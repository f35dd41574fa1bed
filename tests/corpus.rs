//! Runs every input of the fuzzing corpus once. `tests/fuzz` finds these inputs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "the fuzzer chooses any number"
)]
#![allow(unexpected_cfgs, reason = "the feature is that of the fuzzing package")]

use std::{collections::BTreeSet, fs, path::Path};

#[path = "fuzz/targets.rs"]
mod targets;

fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let files: BTreeSet<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 10, "{} has {} files", folder.display(), files.len());
    for file in files {
        println!("{}", file.display());
        run(&fs::read(file).unwrap());
    }
}

/// Runs the targets one after the other, because a process has one client.
#[test]
fn corpus_inputs_cause_no_fault() {
    replay("tokens", targets::tokens);
    replay("options", targets::options);
    replay("failures", targets::failures);
    replay("payloads", targets::payloads);
    replay("codec_answers", targets::codec_answers);
    replay("poll_answers", targets::poll_answers);
    replay("functions", targets::functions);
}

#[test]
fn every_function_of_the_header_is_fuzzed() {
    let header = include_str!("../include/temporal_heartbeat.h");
    let targets = include_str!("fuzz/targets.rs");
    let declared = header.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
    let names = declared.filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next());
    let missing: Vec<_> = names.filter(|name| !targets.contains(&format!("{name}("))).collect();
    assert_eq!(missing, [""; 0]);
}
