//! `docs/options.md` lists all options.

use std::{env, fmt::Write, fs};

use temporal_heartbeat::config::{
    Kind,
    table::{KEYS, Key},
};

use crate::built::root;

const BEGIN: &str = "<!-- Made by `make docs` from src/config/table.rs. -->\n";
const END: &str = "<!-- The end of what is made. -->";

#[test]
fn options_page_is_generated_from_the_options_table() {
    let path = root().join("docs/options.md");
    let there = fs::read_to_string(&path).unwrap();
    let (before, rest) = there.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let made = format!("{before}{BEGIN}\n{}\n{END}{after}", markdown());
    if env::var_os("THB_UPDATE_DOCS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap();
    assert!(there == made, "{} is stale: run `make docs`", path.display());
}

/// Returns all options in Markdown.
fn markdown() -> String {
    let mut page = String::new();
    for key in KEYS {
        entry(&mut page, key);
    }
    page
}

fn entry(page: &mut String, key: &Key) {
    let mut facts = vec![describe(key.kind)];
    facts.extend(key.default.map(|default| format!("default `{default}`")));
    facts.extend(key.variable.map(|variable| {
        let opposite = if key.inverted { ", with the opposite meaning" } else { "" };
        format!("`{variable}`{opposite}")
    }));
    if key.in_profile {
        facts.push("profile".to_owned());
    }
    if key.is_reconfigurable() {
        facts.push("reconfigure".to_owned());
    }
    let mut help = key.help.to_owned();
    if let Some(alternative) = key.alternative {
        // Writing to a string can't fail, here and below.
        let _ = write!(help, " Not together with `{alternative}`.");
    }
    let _ = writeln!(page, "* **`{}`** ({}): {help}", key.name, facts.join("; "));
}

fn describe(kind: Kind) -> String {
    match kind {
        Kind::Text => "string".to_owned(),
        Kind::Secret => "string, secret".to_owned(),
        Kind::Word(words) => {
            words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(" or ")
        }
        Kind::Flag => "boolean".to_owned(),
        Kind::Integer { min, max } => format!("integer, {min} to {max}"),
        Kind::Decimal { min, max } => format!("number, {min} to {max}"),
        Kind::Headers => "object of strings".to_owned(),
    }
}
