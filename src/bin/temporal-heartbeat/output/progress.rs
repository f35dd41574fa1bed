//! Parses progress from the command's output, and records progress as heartbeat details.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use regex::bytes::{Captures, Regex};
use serde_json::{Map, Value, json, value::RawValue};
use temporal_heartbeat::{
    api::activity,
    model::{payload::Encoding, status::Status},
};

use crate::console;

/// Parses progress from a line.
#[derive(Clone, Debug)]
pub enum LineParser {
    /// The progress is the groups of a line that matches.
    Pattern(Regex),
    /// The progress is a line that is JSON.
    Json,
}

impl LineParser {
    /// Returns the details that the line contains, as JSON.
    pub fn parse(&self, line: &[u8]) -> Option<String> {
        match self {
            LineParser::Pattern(pattern) => {
                pattern.captures(line).map(|captures| groups(pattern, &captures).to_string())
            }
            LineParser::Json => {
                let line = line.trim_ascii();
                serde_json::from_slice::<&RawValue>(line).ok().map(|json| json.get().to_owned())
            }
        }
    }
}

/// Returns the named groups as an object; without any, the first group; without groups, the match.
fn groups(pattern: &Regex, captures: &Captures<'_>) -> Value {
    let named: Map<String, Value> = pattern
        .capture_names()
        .flatten()
        .filter_map(|name| Some((name.to_owned(), scalar(captures.name(name)?.as_bytes()))))
        .collect();
    if !named.is_empty() {
        return Value::Object(named);
    }
    let group = captures.get(1).or_else(|| captures.get(0));
    group.map_or(Value::Null, |group| scalar(group.as_bytes()))
}

/// Converts to a number if the text is a JSON number, else to a string.
fn scalar(text: &[u8]) -> Value {
    match serde_json::from_slice(text) {
        Ok(Value::Number(number)) => Value::Number(number),
        _ => json!(String::from_utf8_lossy(text)),
    }
}

/// Records progress of an activity.
pub struct Progress {
    handle: u64,
    count: AtomicU64,
    latest: Mutex<String>,
    has_warned: AtomicBool,
    has_warned_of_none: AtomicBool,
}

impl Progress {
    /// Records to the activity of this handle.
    pub fn new(handle: u64) -> Self {
        Progress {
            handle,
            count: AtomicU64::new(0),
            latest: Mutex::default(),
            has_warned: AtomicBool::new(false),
            has_warned_of_none: AtomicBool::new(false),
        }
    }

    /// Records details, which are JSON. Warns once if that fails.
    pub fn record(&self, json: String) {
        self.count.fetch_add(1, Ordering::Relaxed);
        // If the activity is over, its signals report this.
        let is_over = |status| matches!(status, Status::NotFound | Status::Ended | Status::InvalidHandle);
        if let Err(error) = activity::record(self.handle, Encoding::Json, json.as_bytes())
            && !is_over(error.status())
            && !self.has_warned.swap(true, Ordering::Relaxed)
        {
            console::warning(&format!("can't record this progress: {}", console::words(&error)));
        }
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = json;
    }

    /// Warns once, with this text, if there is no record.
    pub fn warn_if_none(&self, why: Option<&str>) {
        if let Some(why) = why
            && self.count() == 0
            && !self.has_warned_of_none.swap(true, Ordering::Relaxed)
        {
            console::warning(why);
        }
    }

    /// The handle of the activity.
    pub fn handle(&self) -> u64 {
        self.handle
    }

    /// The number of records so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The last record; empty before the first.
    pub fn latest(&self) -> String {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(pattern: &str, line: &str) -> Option<String> {
        LineParser::Pattern(Regex::new(pattern).unwrap()).parse(line.as_bytes())
    }

    #[test]
    fn groups_become_details() {
        assert_eq!(pattern(r"^step (\d+)$", "step 41").as_deref(), Some("41"));
        assert_eq!(pattern(r"^step (\d+)$", "step x"), None);
        assert_eq!(pattern(r"\d+%", "at 50% now").as_deref(), Some("\"50%\""));
        let named = r"epoch (?<epoch>\d+).*loss (?<loss>[\d.]+)(?: (?<rest>x))?";
        assert_eq!(pattern(named, "epoch 3: loss 0.25").as_deref(), Some(r#"{"epoch":3,"loss":0.25}"#));
        // 007 isn't a number in JSON, and 7 would be another item.
        assert_eq!(pattern(r"item (\S+)", "item 007").as_deref(), Some("\"007\""));
    }

    #[test]
    fn json_line_is_recorded_unchanged() {
        assert_eq!(LineParser::Json.parse(b" {\"a\": 1} \r").as_deref(), Some("{\"a\": 1}"));
        assert_eq!(LineParser::Json.parse(b"41").as_deref(), Some("41"));
        assert_eq!(LineParser::Json.parse(b"{\"a\": 1} trailing"), None);
        assert_eq!(LineParser::Json.parse(b"\xff"), None);
    }
}
