//! Generates the documentation page of the options from their table.

use std::fmt::Write;

use super::{
    table::{KEYS, Key},
    value::Kind,
};

/// Returns all options in Markdown.
pub fn markdown() -> String {
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
    if key.reconfigurable {
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
