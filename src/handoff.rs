//! How a parent hands a task token to the process that does the work: in a variable, a file or a descriptor.

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
    error::{Error, Result},
    status::Status,
    sys,
};

/// Holds the token itself, in standard base64.
pub const TOKEN: &str = "TEMPORAL_ACTIVITY_TASK_TOKEN";
/// Names a file that holds it in standard base64.
pub const TOKEN_FILE: &str = "TEMPORAL_ACTIVITY_TASK_TOKEN_FILE";
/// Is the number of an inherited descriptor to read it from, in standard base64.
pub const TOKEN_FD: &str = "TEMPORAL_ACTIVITY_TASK_TOKEN_FD";

/// The last details of the attempt before, as the base64 of an encoded Payloads; set and empty: there are none.
pub const HEARTBEAT_DETAILS: &str = "TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS";
/// The heartbeat timeout.
pub const HEARTBEAT_TIMEOUT_MS: &str = "TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS";
/// How long the attempt may still take, from the start of the child.
pub const DEADLINE_MS: &str = "TEMPORAL_ACTIVITY_DEADLINE_MS";

/// The longest text that is read as a token. Real ones are under 300 bytes.
pub const MAX_TOKEN_TEXT: usize = 64 * 1024;
/// How long a parent may take to write the token to the descriptor and close it.
pub const DESCRIPTOR_PATIENCE: Duration = Duration::from_secs(10);

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
        (None, None, None) => Err(Error::new(
            Status::Config,
            format!(
                "there is no task token in the environment: the parent sets {TOKEN} to the standard base64 of its \
                 activity's task token, or {TOKEN_FILE} or {TOKEN_FD} to where that stands"
            ),
        )),
        _ => Err(Error::new(
            Status::Config,
            format!("more than one of {TOKEN}, {TOKEN_FILE} and {TOKEN_FD} is set: set one"),
        )),
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
pub fn variable(name: &str) -> Result<Option<String>> {
    Ok(variable_or_empty(name)?.filter(|text| !text.is_empty()))
}

/// A variable that is set.
pub fn variable_or_empty(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(text) => Ok(Some(text)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => {
            Err(Error::new(Status::Config, format!("{name} isn't valid UTF-8")))
        }
    }
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
    Error::new(Status::Config, format!("no task token can be read from {source}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
