//! Connecting, and calls that are one request each. All of them block.
//!
//! These are the functions of the C header for Rust. Any thread may call them, including a thread of the caller's own
//! Tokio runtime, which they then block.

use std::{ffi::CStr, time::Duration};

use bytes::Bytes;

#[cfg(feature = "cli")]
pub use crate::client::description::{Description, State};
use crate::{
    activity::options::subject_from_json,
    client::{Effort, Ending},
    config::Options,
    model::{
        attempt::Target,
        deadline::Timeout,
        details::Details,
        error::{Error, Result},
        failure::Report,
        payload::Payloads,
        secret,
        signals::Signals,
        status::Status,
        token,
    },
    process::{self, session::Session},
};

/// This library's version.
pub const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };

/// The default timeout of one call in the bindings.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects the process to a server. The JSON options override the environment, which overrides the defaults.
pub fn connect(options_json: &[u8]) -> Result<()> {
    process::connect(Options::read(options_json)?)
}

/// Changes `api_key`, `grpc_meta` and `tls` while connected. The JSON options override those in force. Activities
/// stay open.
pub fn reconfigure(options_json: &[u8]) -> Result<()> {
    process::reconfigure(options_json)
}

/// Ends the client. Calls in progress end with `NotConnected`. Without a client it does nothing.
///
/// First sends the newest records of open activities, until `timeout`, and closes the activities.
pub fn disconnect(timeout: Timeout) -> Result<()> {
    process::disconnect(timeout)
}

/// Returns the address and the namespace in use.
#[cfg(feature = "cli")]
pub fn connected_to() -> Result<(String, String)> {
    let options = process::session()?.options();
    Ok((options.address.text, options.namespace))
}

/// Returns whether a codec must have encoded all values of this process.
pub fn requires_encoded() -> Result<bool> {
    Ok(process::session()?.client().rules().require_encoded())
}

/// Derives a task token for the attempt that runs, from the activity's ids in JSON.
pub fn token_from_ids(options_json: &[u8], timeout: Timeout) -> Result<Bytes> {
    let (ids, attempt) = subject_from_json(options_json)?;
    let session = process::session()?;
    let deadline = timeout.start_sending()?;
    session.call(deadline, |client| async move {
        Ok(client.token_from_ids(&ids, attempt, Effort::Until(deadline)).await?)
    })
}

/// Records one heartbeat and returns the server's signals. `None` erases the details that the server holds.
pub fn heartbeat(token: &[u8], details: Option<Payloads>, timeout: Timeout) -> Result<Signals> {
    let token = free(token)?;
    let session = process::session()?;
    session.client().rules().check("details", &details)?;
    let deadline = timeout.start_sending()?;
    session.call(deadline, |client| async move {
        Ok(client.heartbeat(&Target::Token(token), details, Effort::Until(deadline)).await?.signals)
    })
}

/// Returns the details that the server holds now.
pub fn get_details(token: &[u8], timeout: Timeout) -> Result<Details> {
    token::check(token)?;
    let session = process::session()?;
    let deadline = timeout.start_sending()?;
    let token = secret::shared(token);
    session.call(deadline, |client| async move { Ok(client.details(&token, Effort::Until(deadline)).await?) })
}

/// Returns the server's description of the token's activity. For the command-line program.
#[cfg(feature = "cli")]
pub fn describe(token: &[u8], timeout: Timeout) -> Result<Description> {
    token::check(token)?;
    let token = secret::shared(token);
    let session = process::session()?;
    let deadline = timeout.start_sending()?;
    session.call(
        deadline,
        |client| async move { Ok(client.description(&token, Effort::Until(deadline)).await?) },
    )
}

/// Completes the activity with a result.
pub fn complete(token: &[u8], result: Option<Payloads>, timeout: Timeout) -> Result<()> {
    let token = free(token)?;
    let session = process::session()?;
    session.client().rules().check_result(&result)?;
    end(&session, token, Ending::Complete(result), timeout)
}

/// Ends the attempt with a failure, described in JSON. For a standalone activity, sends its heartbeat details in a
/// heartbeat first.
pub fn fail(token: &[u8], failure_json: &[u8], timeout: Timeout) -> Result<()> {
    let token = free(token)?;
    let report = Report::read(failure_json)?;
    let session = process::session()?;
    session.client().rules().check_report(&report)?;
    end(&session, token, Ending::Fail(report), timeout)
}

/// Ends the activity as cancelled, after the server has requested that.
pub fn report_cancelled(token: &[u8], details: Option<Payloads>, timeout: Timeout) -> Result<()> {
    let token = free(token)?;
    let session = process::session()?;
    session.client().rules().check("details", &details)?;
    end(&session, token, Ending::Cancel(details), timeout)
}

fn end(session: &Session, token: Bytes, ending: Ending, timeout: Timeout) -> Result<()> {
    let deadline = timeout.start_sending()?;
    session.end(Target::Token(token), ending, false, deadline)
}

/// Returns the process's metrics in the Prometheus text format.
pub fn metrics() -> Result<String> {
    let open = process::activities()?.registry.open();
    Ok(process::telemetry()?.exposition(open))
}

/// Removes and returns the oldest log record, as JSON. Waits for one; returns `None` on timeout.
pub fn next_log(timeout: Timeout) -> Result<Option<String>> {
    Ok(process::telemetry()?.log.next(timeout.start_waiting()))
}

/// Returns the token if it is valid and no handle holds it.
fn free(token: &[u8]) -> Result<Bytes> {
    token::check(token)?;
    if process::activities()?.registry.holds(token) {
        return Err(Error::new(
            Status::AlreadyOpen,
            "a handle holds this task token: use the handle, or close it first",
        ));
    }
    Ok(secret::shared(token))
}
