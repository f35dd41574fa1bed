//! Reads progress from a file while the command writes it.

use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{error::Category, json, value::RawValue};

use crate::{console, regular_file};

/// The largest progress file that is read. The server accepts no more by default.
const MAX_BYTES: u64 = 2 * 1024 * 1024;
/// A text or a number is recorded after it has stayed the same for this long, because a part of it looks complete too.
const SETTLE_TIME: Duration = Duration::from_millis(100);
/// A file that keeps changing is recorded after this time.
const MAX_SETTLE_TIME: Duration = Duration::from_secs(1);

/// The property of the file that is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its content.
    Content,
    /// Its size.
    Size,
}

/// A file with progress.
pub struct ProgressFile<'a> {
    path: &'a Path,
    part: Part,
    last: Option<String>,
    /// The content that was read last, with the time when it was first read.
    unsettled: Option<(String, Instant)>,
    /// Since when the content is different from the recorded one.
    changed_at: Option<Instant>,
    has_warned: bool,
}

/// Progress in JSON.
enum Found {
    /// It has an end, so it isn't a part of a longer text.
    Complete(String),
    /// It may be a part: the command may still be writing it.
    Partial(String),
}

impl<'a> ProgressFile<'a> {
    /// Reads progress from this file.
    pub fn new(path: &'a Path, part: Part) -> Self {
        ProgressFile { path, part, last: None, unsettled: None, changed_at: None, has_warned: false }
    }

    /// Returns new progress. After the command has exited, a file `is_final`.
    pub fn read(&mut self, now: Instant, is_final: bool) -> Option<String> {
        let progress = match self.find()? {
            Found::Complete(progress) => progress,
            Found::Partial(progress) if is_final || self.is_settled(&progress, now) => progress,
            Found::Partial(progress) => {
                if self.unsettled.as_ref().is_none_or(|(unsettled, _)| *unsettled != progress) {
                    self.unsettled = Some((progress, now));
                }
                self.changed_at.get_or_insert(now);
                return None;
            }
        };
        (self.unsettled, self.changed_at) = (None, None);
        if self.last.as_ref() == Some(&progress) {
            return None;
        }
        self.last = Some(progress.clone());
        Some(progress)
    }

    /// When to read the file again, if it should be soon.
    pub fn next_read(&self) -> Option<Instant> {
        self.unsettled.as_ref().map(|(_, since)| *since + SETTLE_TIME)
    }

    fn is_settled(&self, progress: &String, now: Instant) -> bool {
        self.last.as_ref() == Some(progress)
            || self.changed_at.is_some_and(|at| now - at >= MAX_SETTLE_TIME)
            || self
                .unsettled
                .as_ref()
                .is_some_and(|(unsettled, since)| unsettled == progress && now - *since >= SETTLE_TIME)
    }

    fn find(&mut self) -> Option<Found> {
        if self.part == Part::Size {
            let size = fs::metadata(self.path).ok()?.len();
            return Some(Found::Complete(json!({"bytes": size}).to_string()));
        }
        match regular_file::read(self.path, MAX_BYTES) {
            Ok(Ok(content)) => parse(&content),
            Ok(Err(size)) => self.warn(&format!("{size} bytes are too many for progress")),
            Err(why) if why.kind() == io::ErrorKind::NotFound => None,
            Err(why) => self.warn(&why.to_string()),
        }
    }

    fn warn(&mut self, why: &str) -> Option<Found> {
        if !std::mem::replace(&mut self.has_warned, true) {
            console::warning(&format!("can't read progress from {}: {why}", self.path.display()));
        }
        None
    }
}

/// Returns the content as JSON: unchanged if it is JSON, else as a string. `None` if it is empty, or the first part of JSON.
fn parse(content: &[u8]) -> Option<Found> {
    let content = content.trim_ascii();
    // A closing bracket or quote shows that these are complete.
    let has_end = matches!(content.first()?, b'{' | b'[' | b'"');
    match serde_json::from_slice::<&RawValue>(content) {
        Ok(json) if has_end => Some(Found::Complete(json.get().to_owned())),
        Ok(json) => Some(Found::Partial(json.get().to_owned())),
        Err(error) if has_end && error.classify() == Category::Eof => None,
        Err(_) => Some(Found::Partial(json!(String::from_utf8_lossy(content)).to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a file while the command writes it step by step. Returns the progress of each step.
    fn read(steps: &[(&str, u64)]) -> Vec<Option<String>> {
        let path = std::env::temp_dir().join(format!("progress-{:016x}", fastrand::u64(..)));
        let mut file = ProgressFile::new(&path, Part::Content);
        let start = Instant::now();
        let mut step = |(content, ms): &(&str, u64)| {
            fs::write(&path, content).unwrap();
            file.read(start + Duration::from_millis(*ms), false)
        };
        let read = steps.iter().map(&mut step).collect();
        fs::remove_file(&path).unwrap();
        read
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn first_part_of_json_is_no_progress() {
        let steps = [("{\"item\": 4", 0), ("{\"item\": 4", 5000), ("{\"item\": 41}\n", 5001), ("[1,", 5002)];
        assert_eq!(read(&steps), [None, None, some("{\"item\": 41}"), None]);
    }

    #[test]
    fn number_or_text_is_recorded_when_it_stays_the_same() {
        assert_eq!(read(&[("4", 0), ("41", 50), ("41", 100), ("41", 150)]), [None, None, None, some("41")]);
        assert_eq!(read(&[("[a] b", 0), ("[a] b", 100), ("[a] b", 200)]), [None, some("\"[a] b\""), None]);
    }

    #[test]
    fn number_that_always_changes_is_recorded_each_second() {
        assert_eq!(read(&[("1", 0), ("2", 500), ("3", 1000), ("4", 1500)]), [None, None, some("3"), None]);
    }
}
