//! What a process can do: connect, and one call for each thing to tell or ask the server. All of them block.
//!
//! These are the functions of the C header, for Rust. Each may be called from any thread, also from one of a Tokio
//! runtime of the caller's own (which it then blocks, as any blocking call does).

use std::{ffi::CStr, time::Duration};

use bytes::Bytes;

use crate::{
    client::{Effort, Ending},
    config::Options,
    model::{
        attempt::Target,
        deadline::Timeout,
        details::Details,
        error::{Error, Result},
        failure::Report,
        payload::Payloads,
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

/// How long the bindings wait for one call unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects the process to a server: options as JSON, over the environment, over the defaults.
pub fn connect(options_json: &[u8]) -> Result<()> {
    process::connect(Options::read(options_json)?)
}

/// Changes `api_key`, `grpc_meta` and `tls` while connected: options as JSON, over those in force. Activities stay open.
pub fn reconfigure(options_json: &[u8]) -> Result<()> {
    process::reconfigure(options_json)
}

/// Ends the client; calls that are under way end with `NotConnected`. No client is no error.
///
/// What was recorded on open activities is sent before, for which there is the time of `timeout`; then they are closed.
pub fn disconnect(timeout: Timeout) -> Result<()> {
    process::disconnect(timeout)
}

/// Records one heartbeat and returns what the server asks for. `None` erases the details that it holds.
pub fn heartbeat(token: &[u8], details: Option<Payloads>, timeout: Timeout) -> Result<Signals> {
    let token = free(token)?;
    let session = process::session()?;
    session.client().rules().check("details", &details)?;
    let deadline = timeout.start_sending()?;
    session.call(deadline, |client| async move {
        Ok(client.heartbeat(&Target::Token(token), details, Effort::Until(deadline)).await?)
    })
}

/// What the server holds of the activity now.
pub fn get_details(token: &[u8], timeout: Timeout) -> Result<Details> {
    let token = token::checked(token)?;
    let session = process::session()?;
    let deadline = timeout.start_sending()?;
    session.call(deadline, |client| async move { Ok(client.details(&token, Effort::Until(deadline)).await?) })
}

/// Ends the activity with a result.
pub fn complete(token: &[u8], result: Option<Payloads>, timeout: Timeout) -> Result<()> {
    let token = free(token)?;
    let session = process::session()?;
    session.client().rules().check_result(&result)?;
    end(&session, token, Ending::Complete(result), timeout)
}

/// Ends the attempt with a failure, described in JSON. For a standalone activity a heartbeat with its heartbeat details precedes it.
pub fn fail(token: &[u8], failure_json: &[u8], timeout: Timeout) -> Result<()> {
    let token = free(token)?;
    let report = Report::read(failure_json)?;
    let session = process::session()?;
    session.client().rules().check_report(&report)?;
    end(&session, token, Ending::Fail(report), timeout)
}

/// Ends the activity as cancelled, after the server said that this is asked for.
pub fn report_cancelled(token: &[u8], details: Option<Payloads>, timeout: Timeout) -> Result<()> {
    let token = free(token)?;
    let session = process::session()?;
    session.client().rules().check("details", &details)?;
    end(&session, token, Ending::Cancel(details), timeout)
}

fn end(session: &Session, token: Bytes, ending: Ending, timeout: Timeout) -> Result<()> {
    let deadline = timeout.start_sending()?;
    session.call(deadline, |client| async move {
        client.end(&Target::Token(token), &ending, false, deadline).await
    })
}

/// The process's metrics in Prometheus's text form.
pub fn metrics() -> Result<String> {
    let open = process::activities()?.registry.open();
    Ok(process::telemetry()?.exposition(open))
}

/// Takes the oldest log record, as JSON; waits for one. `None` when the time is over.
pub fn next_log(timeout: Timeout) -> Result<Option<String>> {
    Ok(process::telemetry()?.log.next(timeout.start_waiting()))
}

/// A token that can be sent, and that no handle holds.
fn free(token: &[u8]) -> Result<Bytes> {
    let checked = token::checked(token)?;
    if process::activities()?.registry.holds(token) {
        return Err(Error::new(
            Status::AlreadyOpen,
            "a handle holds this task token: use that, or close it first",
        ));
    }
    Ok(checked)
}
