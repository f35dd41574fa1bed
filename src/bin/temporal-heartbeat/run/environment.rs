//! What the command finds in its environment, and in files beside it.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use temporal_heartbeat::{
    config::handoff,
    model::{attempt::Ids, details::Details},
};

use crate::commands::{is_text, text};

/// The largest variable that is made; the system takes no more than 128 KiB.
const MAX_VARIABLE: usize = 96 * 1024;

/// The first value of the previous details, in JSON, where it is JSON.
pub const DETAILS_JSON: &str = "TEMPORAL_ACTIVITY_DETAILS_JSON";
/// A file that holds the first value of the previous details.
pub const DETAILS_FILE: &str = "TEMPORAL_ACTIVITY_DETAILS_FILE";
/// A file that holds the input.
pub const INPUT_FILE: &str = "TEMPORAL_ACTIVITY_INPUT_FILE";
/// How the first value of the input is encoded.
pub const INPUT_ENCODING: &str = "TEMPORAL_ACTIVITY_INPUT_ENCODING";

/// Variables to set, or to take away.
#[derive(Debug, Default, PartialEq)]
pub struct Variables(pub Vec<(String, Option<OsString>)>);

impl Variables {
    /// Those of every command. The token isn't among them: who has it could end the activity, and two who beat overwrite each other's
    /// progress.
    pub fn new(attempt: i32, ids: Option<&Ids>) -> Self {
        let mut variables = Variables::default();
        for token in [handoff::TOKEN, handoff::TOKEN_FILE, handoff::TOKEN_FD] {
            variables.0.push((token.to_owned(), None));
        }
        if attempt > 0 {
            variables.set(handoff::ATTEMPT, attempt.to_string());
        }
        if let Some(ids) = ids {
            let workflow_id = Some(&ids.workflow_id).filter(|id| !id.is_empty());
            variables.0.push((handoff::WORKFLOW_ID.to_owned(), workflow_id.map(OsString::from)));
            variables.set(handoff::RUN_ID, &ids.run_id);
            variables.set(handoff::ID, &ids.activity_id);
        }
        variables
    }

    /// Sets one.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.push((name.to_owned(), Some(value.into())));
    }

    /// Hands the previous details over; what is too long for a variable stands in the file alone.
    pub fn hand_over(&mut self, details: &Details, directory: &Path) -> io::Result<()> {
        for name in [handoff::HEARTBEAT_DETAILS, DETAILS_JSON, DETAILS_FILE] {
            self.0.push((name.to_owned(), None));
        }
        let encoded = BASE64_STANDARD.encode(details.payloads().encoded());
        if encoded.len() <= MAX_VARIABLE {
            self.set(handoff::HEARTBEAT_DETAILS, encoded);
        }
        let Some(first) = details.values().first() else { return Ok(()) };
        let bytes = if is_text(first) { text(first) } else { &first.data };
        if is_text(first)
            && bytes.len() <= MAX_VARIABLE
            && let Ok(json) = std::str::from_utf8(bytes)
        {
            self.set(DETAILS_JSON, json);
        }
        self.set(DETAILS_FILE, write(directory, "details", bytes)?);
        Ok(())
    }
}

/// Writes a file for the command.
pub fn write(directory: &Path, name: &str, content: &[u8]) -> io::Result<PathBuf> {
    let path = directory.join(name);
    fs::write(&path, content)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use temporal_heartbeat::model::payload::Encoding;

    fn given(variables: &Variables, name: &str) -> Option<String> {
        let found = variables.0.iter().rev().find(|(set, _)| set == name)?;
        Some(found.1.as_ref()?.to_string_lossy().into_owned())
    }

    fn handed_over(encoding: Encoding, data: &[u8]) -> Variables {
        let mut details = Details::new();
        details.add(encoding, data).unwrap();
        let mut variables = Variables::new(2, None);
        let directory = tempfile::tempdir().unwrap();
        variables.hand_over(&details, directory.path()).unwrap();
        let file = fs::read(given(&variables, DETAILS_FILE).unwrap()).unwrap();
        assert_eq!(file, data);
        variables
    }

    #[test]
    fn details_stand_in_a_variable_and_in_a_file() {
        let variables = handed_over(Encoding::Json, b"{\"item\":41}");
        assert_eq!(given(&variables, DETAILS_JSON).as_deref(), Some("{\"item\":41}"));
        assert_eq!(given(&variables, handoff::ATTEMPT).as_deref(), Some("2"));
        assert_eq!(given(&variables, handoff::TOKEN), None);
    }

    #[test]
    fn what_is_no_json_or_too_long_stands_in_the_file_alone() {
        assert_eq!(given(&handed_over(Encoding::Binary, b"\xff\0"), DETAILS_JSON), None);
        let long = format!("\"{}\"", "x".repeat(MAX_VARIABLE));
        let variables = handed_over(Encoding::Json, long.as_bytes());
        assert_eq!(given(&variables, DETAILS_JSON), None);
        assert_eq!(given(&variables, handoff::HEARTBEAT_DETAILS), None);
    }
}
