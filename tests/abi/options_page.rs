//! `docs/options.md` lists all options.

use std::{env, fs};

use temporal_heartbeat::config::page;

use crate::built::root;

const BEGIN: &str = "<!-- Made by `make docs` from src/config/table.rs. -->\n";
const END: &str = "<!-- The end of what is made. -->";

#[test]
fn options_page_is_generated_from_the_options_table() {
    let path = root().join("docs/options.md");
    let there = fs::read_to_string(&path).unwrap();
    let (before, rest) = there.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let made = format!("{before}{BEGIN}\n{}\n{END}{after}", page::markdown());
    if env::var_os("THB_UPDATE_DOCS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap();
    assert!(there == made, "{} is stale: run `make docs`", path.display());
}
