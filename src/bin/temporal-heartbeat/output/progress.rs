//! What the command's output or files say about its progress, as the heartbeat details that are recorded.

use std::{
    fs,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use regex::bytes::{Captures, Regex};
use serde_json::{Map, Value, json, value::RawValue};
use temporal_heartbeat::{
    api::activity,
    model::{payload::Encoding, status::Status},
};

use crate::console;

/// The most that is read of a file of progress; the server takes no more by default.
const MAX_FILE: u64 = 2 * 1024 * 1024;

/// What makes progress of a line.
#[derive(Clone, Debug)]
pub enum LineParser {
    /// Its groups, where it matches.
    Pattern(Regex),
    /// The line itself, where it is JSON.
    Json,
}

impl LineParser {
    /// The details that the line tells, in JSON.
    pub fn read(&self, line: &[u8]) -> Option<String> {
        match self {
            LineParser::Pattern(pattern) => {
                pattern.captures(line).map(|found| of_groups(pattern, &found).to_string())
            }
            LineParser::Json => {
                let line = line.trim_ascii();
                serde_json::from_slice::<&RawValue>(line).ok().map(|json| json.get().to_owned())
            }
        }
    }
}

/// Named groups as an object; else the first group; without one the whole match.
fn of_groups(pattern: &Regex, found: &Captures<'_>) -> Value {
    let named: Map<String, Value> = pattern
        .capture_names()
        .flatten()
        .filter_map(|name| Some((name.to_owned(), scalar(found.name(name)?.as_bytes()))))
        .collect();
    if !named.is_empty() {
        return Value::Object(named);
    }
    let group = found.get(1).or_else(|| found.get(0));
    group.map_or(Value::Null, |group| scalar(group.as_bytes()))
}

/// A number, where the text is one as JSON has it; else a string.
fn scalar(text: &[u8]) -> Value {
    match serde_json::from_slice(text) {
        Ok(Value::Number(number)) => Value::Number(number),
        _ => json!(String::from_utf8_lossy(text)),
    }
}

/// What a file's content tells: itself, where it is JSON, else a string of it. Nothing while there is none, or nothing in it.
pub fn of_file(path: &Path) -> Option<String> {
    if fs::metadata(path).ok()?.len() > MAX_FILE {
        console::warning(&format!("{} has over {MAX_FILE} bytes, too many for progress", path.display()));
        return None;
    }
    let content = fs::read(path).ok()?;
    let content = content.trim_ascii();
    match serde_json::from_slice::<&RawValue>(content) {
        _ if content.is_empty() => None,
        Ok(json) => Some(json.get().to_owned()),
        Err(_) => Some(json!(String::from_utf8_lossy(content)).to_string()),
    }
}

/// What a file's size tells.
pub fn of_size(path: &Path) -> Option<String> {
    fs::metadata(path).ok().map(|file| json!({"bytes": file.len()}).to_string())
}

/// Records progress for an activity.
pub struct Progress {
    handle: u64,
    records: AtomicU64,
    newest: Mutex<String>,
    warned: AtomicBool,
}

impl Progress {
    /// For the activity of this handle.
    pub fn new(handle: u64) -> Self {
        Progress {
            handle,
            records: AtomicU64::new(0),
            newest: Mutex::default(),
            warned: AtomicBool::new(false),
        }
    }

    /// Records details, in JSON.
    pub fn record(&self, json: String) {
        self.records.fetch_add(1, Ordering::Relaxed);
        // Of an activity that is over everybody hears in another way.
        let known = |status| matches!(status, Status::NotFound | Status::Ended | Status::InvalidHandle);
        if let Err(error) = activity::record(self.handle, Encoding::Json, json.as_bytes())
            && !known(error.status())
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            console::warning(&format!("this progress isn't recorded: {error}"));
        }
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = json;
    }

    /// How often anything was recorded.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// The newest details, in JSON; empty before the first.
    pub fn newest(&self) -> String {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(pattern: &str, line: &str) -> Option<String> {
        LineParser::Pattern(Regex::new(pattern).unwrap()).read(line.as_bytes())
    }

    #[test]
    fn groups_become_details() {
        assert_eq!(pattern(r"^step (\d+)$", "step 41").as_deref(), Some("41"));
        assert_eq!(pattern(r"^step (\d+)$", "step x"), None);
        assert_eq!(pattern(r"\d+%", "at 50% now").as_deref(), Some("\"50%\""));
        let named = r"epoch (?<epoch>\d+).*loss (?<loss>[\d.]+)(?: (?<rest>x))?";
        assert_eq!(pattern(named, "epoch 3: loss 0.25").as_deref(), Some(r#"{"epoch":3,"loss":0.25}"#));
        // Not a number in JSON, and "7" would be another item.
        assert_eq!(pattern(r"item (\S+)", "item 007").as_deref(), Some("\"007\""));
    }

    #[test]
    fn a_line_of_json_is_taken_as_it_is() {
        assert_eq!(LineParser::Json.read(b" {\"a\": 1} \r").as_deref(), Some("{\"a\": 1}"));
        assert_eq!(LineParser::Json.read(b"41").as_deref(), Some("41"));
        assert_eq!(LineParser::Json.read(b"{\"a\": 1} trailing"), None);
        assert_eq!(LineParser::Json.read(b"\xff"), None);
    }
}
