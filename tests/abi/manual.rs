//! The header as the reference manual: complete, free of Rust terms, and of limited size.

use temporal_heartbeat::model::status::Status;

use crate::prototypes::names;

const HEADER: &str = include_str!("../../include/temporal_heartbeat.h");

/// Returns the comment directly above a function.
fn comment(name: &str) -> String {
    let lines: Vec<_> = HEADER.lines().collect();
    let declares = |line: &&str| line.starts_with(char::is_alphabetic) && line.contains(&format!("{name}("));
    let at = lines.iter().position(declares).unwrap_or_else(|| panic!("{name} isn't declared"));
    let above = lines[..at].iter().rev();
    let mut comment: Vec<_> = above.take_while(|line| line.starts_with("//")).copied().collect();
    comment.reverse();
    comment.join(" ").replace("// ", "")
}

/// Returns the functions without any of these words in their comments.
fn without(words: &[&str]) -> Vec<String> {
    names().into_iter().filter(|name| !words.iter().any(|word| comment(name).contains(word))).collect()
}

#[test]
fn every_function_states_its_thread_safety() {
    assert_eq!(without(&["hread", " as thb_"]), [""; 0]);
}

#[test]
fn every_function_states_whether_it_blocks() {
    assert_eq!(
        without(&["Never blocks", "never blocking", "Never waits", "locks ", "Wait ", " as thb_"]),
        [""; 0]
    );
}

#[test]
fn statuses_in_comments_exist() {
    for word in HEADER.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
        let known = Status::ALL.iter().any(|status| status.name().to_str() == Ok(word));
        let other =
            ["THB_ENCODING_", "THB_SIGNAL_", "THB_FOREVER", "THB_ABI_VERSION", "THB_UNKNOWN", "THB_LOG"];
        let fine = !word.starts_with("THB_") || known || other.iter().any(|other| word.starts_with(other));
        assert!(fine, "{word}");
    }
}

#[test]
fn status_table_has_an_action_for_each_status() {
    let table =
        HEADER.split("from, meaning, what to do").nth(1).unwrap().split("typedef enum").next().unwrap();
    for status in Status::ALL {
        let name = status.name().to_str().unwrap();
        let row = table.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
        assert!(row.is_some_and(|row| row.ends_with('.') || row.len() > 80), "{name}");
    }
}

#[test]
fn lines_have_limited_width() {
    let wide: Vec<_> = HEADER.lines().filter(|line| line.chars().count() > 120).collect();
    assert_eq!(wide, [""; 0]);
}

#[test]
fn header_contains_no_rust_terms() {
    let foreign =
        ["# Safety", "```", "[`", "::", "unsafe", "Option<", "Box", "&mut", "crate", "panic", "Rust", "`"];
    let shown: Vec<_> = foreign.iter().filter(|word| HEADER.contains(**word)).collect();
    assert!(shown.is_empty(), "{shown:?}");
}
