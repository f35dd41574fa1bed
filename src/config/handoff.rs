//! The hand-off from a parent to the process that does the work: the task token, in a variable, a file or a
//! descriptor, and the attempt's data.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use crate::{
    model::{
        attempt::Ids,
        error::{Error, Result},
        payload::Payloads,
    },
    sys,
};

/// The token, in standard base64.
pub const TOKEN: &str = "TEMPORAL_ACTIVITY_TASK_TOKEN";
/// The path of a file with the token, in standard base64.
pub const TOKEN_FILE: &str = "TEMPORAL_ACTIVITY_TASK_TOKEN_FILE";
/// The number of an inherited descriptor with the token, in standard base64.
pub const TOKEN_FD: &str = "TEMPORAL_ACTIVITY_TASK_TOKEN_FD";

/// The id of the activity's workflow; empty for a standalone activity.
pub const WORKFLOW_ID: &str = "TEMPORAL_ACTIVITY_WORKFLOW_ID";
/// The run of the workflow, or of the standalone activity.
pub const RUN_ID: &str = "TEMPORAL_ACTIVITY_RUN_ID";
/// The activity's id. With it the token may be missing.
pub const ID: &str = "TEMPORAL_ACTIVITY_ID";
/// The number of the attempt, from 1.
pub const ATTEMPT: &str = "TEMPORAL_ACTIVITY_ATTEMPT";
/// The heartbeat timeout.
pub const HEARTBEAT_TIMEOUT_MS: &str = "TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS";
/// The last details of the previous attempt, as base64 of an encoded Payloads; empty: it has none.
pub const HEARTBEAT_DETAILS: &str = "TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS";
/// The time since the attempt started, measured by the parent.
pub const AGE_MS: &str = "TEMPORAL_ACTIVITY_AGE_MS";
/// The time that the attempt has left when the child starts. A hint: the server decides.
pub const DEADLINE_MS: &str = "TEMPORAL_ACTIVITY_DEADLINE_MS";
/// `true` or `1`: the child refuses values that no codec has encoded.
pub const REQUIRE_ENCODED: &str = "TEMPORAL_ACTIVITY_REQUIRE_ENCODED";

/// The longest text of a token that is read. Real ones are under 300 bytes.
pub const MAX_TOKEN_TEXT: usize = 64 * 1024;
/// How long a parent may take to write the token to the descriptor and close it.
pub const DESCRIPTOR_TIMEOUT: Duration = Duration::from_secs(10);

/// The hand-off, except the token.
#[derive(Debug, Default, PartialEq)]
pub struct HandedOver {
    /// The activity's ids.
    pub ids: Option<Ids>,
    /// The number of the attempt; 0 when not given.
    pub attempt: i32,
    /// The heartbeat timeout.
    pub heartbeat_timeout: Option<Duration>,
    /// The last details of the previous attempt.
    pub details: Option<Payloads>,
    /// The time since the attempt started, measured by the parent.
    pub age: Option<Duration>,
    /// The time that the attempt has left. A hint: the server decides.
    pub remaining: Option<Duration>,
    /// Whether values that no codec has encoded are refused.
    pub require_encoded: bool,
}

impl HandedOver {
    /// Reads the hand-off from the environment.
    pub fn read() -> Result<Self> {
        let time = |name| -> Result<Option<Duration>> {
            Ok(number(name)?.map(|ms: u32| Duration::from_millis(ms.into())))
        };
        let ids = match variable(ID)? {
            Some(activity_id) => Some(Ids {
                workflow_id: variable(WORKFLOW_ID)?.unwrap_or_default(),
                run_id: variable(RUN_ID)?.unwrap_or_default(),
                activity_id,
            }),
            None => None,
        };
        let details = match text(HEARTBEAT_DETAILS)? {
            Some(text) => Some(Payloads::from_base64(HEARTBEAT_DETAILS, &text)?),
            None => None,
        };
        let require_encoded = match variable(REQUIRE_ENCODED)?.as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => {
                return Err(Error::config(format!("{REQUIRE_ENCODED} must be true or false")));
            }
        };
        Ok(HandedOver {
            ids,
            attempt: number(ATTEMPT)?.unwrap_or_default(),
            heartbeat_timeout: time(HEARTBEAT_TIMEOUT_MS)?,
            details,
            age: time(AGE_MS)?,
            remaining: time(DEADLINE_MS)?,
            require_encoded,
        })
    }
}

/// Returns whether nothing hands over an activity: no variable of the token or of the ids is set. Fails if some are set, but hand over
/// no activity, for example because they are empty.
pub fn is_absent() -> Result<bool> {
    match set_variable() {
        None => Ok(true),
        Some(_) if has_token() || variable(ID)?.is_some() => Ok(false),
        Some(_) => Err(no_token()),
    }
}

/// Returns the first variable of the token or of the ids that is set.
fn set_variable() -> Option<&'static str> {
    let identifying = [TOKEN, TOKEN_FILE, TOKEN_FD, ID, WORKFLOW_ID, RUN_ID];
    identifying.into_iter().find(|name| env::var_os(name).is_some())
}

/// Returns whether any variable hands over a task token.
pub fn has_token() -> bool {
    [TOKEN, TOKEN_FILE, TOKEN_FD].into_iter().any(|name| given(name).is_some())
}

/// Returns the value of a variable for the token. An untrusted environment may contain the token, but not choose which
/// file or descriptor is read.
fn given(name: &str) -> Option<OsString> {
    let is_ignored = name != TOKEN && sys::environment::is_untrusted();
    env::var_os(name).filter(|value| !value.is_empty() && !is_ignored)
}

/// Returns the task token that was handed over.
pub fn token_from_env() -> Result<Zeroizing<Vec<u8>>> {
    match (given(TOKEN), given(TOKEN_FILE), given(TOKEN_FD)) {
        (Some(token), None, None) => token_from_text(&Zeroizing::new(token.into_encoded_bytes()), TOKEN),
        (None, Some(path), None) => {
            let path = PathBuf::from(path);
            token_from_file(&path, &format!("{TOKEN_FILE} ({})", path.display()))
        }
        (None, None, Some(number)) => {
            let source = format!("{TOKEN_FD} ({})", number.display());
            let number = number.to_str().and_then(|number| number.parse().ok()).filter(|number| *number >= 0);
            let number = number.ok_or_else(|| unreadable(&source, "it isn't the number of a descriptor"))?;
            token_from_descriptor(number, &source)
        }
        (None, None, None) => Err(no_token()),
        _ => Err(Error::config(format!(
            "more than one of {TOKEN}, {TOKEN_FILE} and {TOKEN_FD} is set: set one"
        ))),
    }
}

fn no_token() -> Error {
    let found = set_variable().map_or_else(String::new, |name| match env::var_os(name) {
        Some(value) if value.is_empty() => format!(" ({name} is empty)"),
        _ => format!(" ({name} alone doesn't hand over an activity)"),
    });
    Error::config(format!(
        "there is no task token in the environment{found}: the parent sets {TOKEN} to the standard base64 of its \
         activity's task token, or {TOKEN_FILE} or {TOKEN_FD} to the file or descriptor that contains it"
    ))
}

/// Reads a task token from a file. Errors name it `source`.
pub fn token_from_file(path: &Path, source: &str) -> Result<Zeroizing<Vec<u8>>> {
    let text = read_file(path).map_err(|why| unreadable(source, &why.to_string()))?;
    // The text is as secret as the token.
    token_from_text(&Zeroizing::new(text), source)
}

/// Reads a task token from a descriptor, which stays open. Errors name it `source`.
pub fn token_from_descriptor(number: i32, source: &str) -> Result<Zeroizing<Vec<u8>>> {
    let text = sys::descriptor::read_to_end(number, MAX_TOKEN_TEXT, DESCRIPTOR_TIMEOUT)
        .map_err(|why| unreadable(source, &why.to_string()))?;
    token_from_text(&Zeroizing::new(text), source)
}

/// Returns the value of a variable, unless it is empty.
fn variable(name: &str) -> Result<Option<String>> {
    Ok(text(name)?.filter(|text| !text.is_empty()))
}

/// Returns the value of a variable.
fn text(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(text) => Ok(Some(text)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Error::config(format!("{name} isn't valid UTF-8"))),
    }
}

/// Returns a variable that is a whole number, unless it is empty.
fn number<T: TryFrom<u32>>(name: &str) -> Result<Option<T>> {
    let Some(text) = variable(name)? else { return Ok(None) };
    let number = text.parse().ok().and_then(|number: u32| number.try_into().ok());
    number.map(Some).ok_or_else(|| Error::config(format!("{name} must be a whole number, from 0")))
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    // Without O_NONBLOCK, opening a named pipe would wait for its writer indefinitely. The writer gets as long as a
    // descriptor's.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    sys::descriptor::read_to_end(file.as_raw_fd(), MAX_TOKEN_TEXT, DESCRIPTOR_TIMEOUT)
}

/// Decodes a task token from standard base64. Errors name it `source`.
pub fn token_from_text(text: &[u8], source: &str) -> Result<Zeroizing<Vec<u8>>> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err(unreadable(source, "there is nothing in it"));
    }
    if text.len() > MAX_TOKEN_TEXT {
        return Err(unreadable(source, "it is longer than any token"));
    }
    // Without the decoder's message, which quotes a character of the secret text.
    BASE64_STANDARD
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|_| unreadable(source, "it isn't standard base64 (A-Z a-z 0-9 + / with = at the end)"))
}

fn unreadable(source: &str, why: &str) -> Error {
    Error::config(format!("no task token can be read from {source}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::status::Status;

    #[test]
    fn white_space_around_the_text_does_not_matter() {
        assert_eq!(token_from_text(b" aGk=\n", "x").unwrap().as_slice(), b"hi");
    }

    #[test]
    fn invalid_token_text_is_not_in_the_error() {
        for text in [&b"secret secret"[..], b"a-b_", b"aGk", b"\xff", b"  "] {
            let error = token_from_text(text, "THE SOURCE").unwrap_err();
            assert_eq!(error.status(), Status::Config);
            assert!(error.message().contains("THE SOURCE") && !error.message().contains("secret"), "{error}");
        }
        assert!(token_from_text(&[b'A'; MAX_TOKEN_TEXT + 1], "x").is_err());
    }
}
