//! What a parent hands to the process that does the work: the task token, in a variable, a file or a descriptor, and what it knows of
//! the attempt.

use std::{
    env,
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

/// Holds the token itself, in standard base64.
pub const TOKEN: &str = "TEMPORAL_ACTIVITY_TASK_TOKEN";
/// Names a file that holds it in standard base64.
pub const TOKEN_FILE: &str = "TEMPORAL_ACTIVITY_TASK_TOKEN_FILE";
/// Is the number of an inherited descriptor to read it from, in standard base64.
pub const TOKEN_FD: &str = "TEMPORAL_ACTIVITY_TASK_TOKEN_FD";

/// Whose activity it is; empty for a standalone one.
pub const WORKFLOW_ID: &str = "TEMPORAL_ACTIVITY_WORKFLOW_ID";
/// The workflow's run, or the standalone activity's.
pub const RUN_ID: &str = "TEMPORAL_ACTIVITY_RUN_ID";
/// The activity's id. With it the token may be missing.
pub const ID: &str = "TEMPORAL_ACTIVITY_ID";
/// The number of the attempt, from 1.
pub const ATTEMPT: &str = "TEMPORAL_ACTIVITY_ATTEMPT";
/// The heartbeat timeout.
pub const HEARTBEAT_TIMEOUT_MS: &str = "TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS";
/// The last details of the attempt before, as the base64 of an encoded Payloads; set and empty: there are none.
pub const HEARTBEAT_DETAILS: &str = "TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS";
/// How long ago the attempt started, as its parent has measured it.
pub const AGE_MS: &str = "TEMPORAL_ACTIVITY_AGE_MS";
/// How long the attempt may still take, from the start of the child. A hint: the server decides.
pub const DEADLINE_MS: &str = "TEMPORAL_ACTIVITY_DEADLINE_MS";
/// `true` or `1`: the child sends nothing that anybody can read.
pub const REQUIRE_ENCODED: &str = "TEMPORAL_ACTIVITY_REQUIRE_ENCODED";

/// The longest text that is read as a token. Real ones are under 300 bytes.
pub const MAX_TOKEN_TEXT: usize = 64 * 1024;
/// How long a parent may take to write the token to the descriptor and close it.
pub const DESCRIPTOR_PATIENCE: Duration = Duration::from_secs(10);

/// What a process was handed beside the token.
#[derive(Debug, Default, PartialEq)]
pub struct HandedOver {
    /// Which activity it is.
    pub ids: Option<Ids>,
    /// Which attempt, by its number; 0 when that isn't told.
    pub attempt: i32,
    /// The heartbeat timeout.
    pub heartbeat_timeout: Option<Duration>,
    /// The last details of the attempt before.
    pub details: Option<Payloads>,
    /// How long ago the attempt started, as its parent has measured it.
    pub age: Option<Duration>,
    /// How long it may still take. A hint: the server decides.
    pub remaining: Option<Duration>,
    /// Whether nothing is to be sent that anybody can read.
    pub require_encoded: bool,
}

impl HandedOver {
    /// Reads the environment.
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

/// Whether a task token was handed over in some way.
pub fn has_token() -> bool {
    [TOKEN, TOKEN_FILE, TOKEN_FD].iter().any(|name| env::var_os(name).is_some_and(|text| !text.is_empty()))
}

/// The task token that this process was handed.
pub fn token_from_env() -> Result<Zeroizing<Vec<u8>>> {
    let given = |name| env::var_os(name).filter(|value| !value.is_empty());
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
        (None, None, None) => Err(Error::config(format!(
            "there is no task token in the environment: the parent sets {TOKEN} to the standard base64 of its \
                 activity's task token, or {TOKEN_FILE} or {TOKEN_FD} to where that stands"
        ))),
        _ => Err(Error::config(format!(
            "more than one of {TOKEN}, {TOKEN_FILE} and {TOKEN_FD} is set: set one"
        ))),
    }
}

/// The task token in a file; errors call it `source`.
pub fn token_from_file(path: &Path, source: &str) -> Result<Zeroizing<Vec<u8>>> {
    let text = read_file(path).map_err(|why| unreadable(source, &why.to_string()))?;
    // What was read is as secret as what it stands for.
    token_from_text(&Zeroizing::new(text), source)
}

/// The task token behind a descriptor, which stays open; errors call it `source`.
pub fn token_from_descriptor(number: i32, source: &str) -> Result<Zeroizing<Vec<u8>>> {
    let text = sys::descriptor::read_to_end(number, MAX_TOKEN_TEXT, DESCRIPTOR_PATIENCE)
        .map_err(|why| unreadable(source, &why.to_string()))?;
    token_from_text(&Zeroizing::new(text), source)
}

/// A variable that says something.
fn variable(name: &str) -> Result<Option<String>> {
    Ok(text(name)?.filter(|text| !text.is_empty()))
}

/// A variable that is set.
fn text(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(text) => Ok(Some(text)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Error::config(format!("{name} isn't valid UTF-8"))),
    }
}

/// A variable that is a whole number, if it says something.
fn number<T: TryFrom<u32>>(name: &str) -> Result<Option<T>> {
    let Some(text) = variable(name)? else { return Ok(None) };
    let number = text.parse().ok().and_then(|number: u32| number.try_into().ok());
    number.map(Some).ok_or_else(|| Error::config(format!("{name} must be a whole number, from 0")))
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    // To open a named pipe would wait for its writer without end, who gets the same time as a descriptor's.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    sys::descriptor::read_to_end(file.as_raw_fd(), MAX_TOKEN_TEXT, DESCRIPTOR_PATIENCE)
}

/// The task token that stands in a text in standard base64; errors call it `source`.
pub fn token_from_text(text: &[u8], source: &str) -> Result<Zeroizing<Vec<u8>>> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err(unreadable(source, "there is nothing in it"));
    }
    if text.len() > MAX_TOKEN_TEXT {
        return Err(unreadable(source, "it is longer than any token"));
    }
    // The text is a secret, so the decoder's own message, which quotes a character of it, stays out.
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
    fn a_text_that_is_no_token_is_not_repeated() {
        for text in [&b"secret secret"[..], b"a-b_", b"aGk", b"\xff", b"  "] {
            let error = token_from_text(text, "THE SOURCE").unwrap_err();
            assert_eq!(error.status(), Status::Config);
            assert!(error.message().contains("THE SOURCE") && !error.message().contains("secret"), "{error}");
        }
        assert!(token_from_text(&[b'A'; MAX_TOKEN_TEXT + 1], "x").is_err());
    }
}
