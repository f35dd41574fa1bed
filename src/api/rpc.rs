//! Connecting, and calls that are one request each.
//!
//! These are the functions of the C header for Rust. What is wrong without asking the server is returned at once. The
//! other calls return a [`Call`]: [`Call::wait`] blocks any thread until the call ends, also a thread of a Tokio runtime;
//! `.await` works with any asynchronous runtime; [`crate::api::queue`] takes the results of many calls.
//!
//! A call begins when it is waited for. To have several in flight, begin each with [`IntoFuture::into_future`]. Dropping a
//! future cancels its call:
//!
//! ```
//! use std::{future::IntoFuture, time::Duration};
//! use temporal_heartbeat::{api::rpc, model::{deadline::Timeout, error::Result}};
//!
//! async fn read_both(first: &[u8], second: &[u8]) -> Result<usize> {
//!     let timeout = Timeout::Within(Duration::from_secs(10));
//!     let first = rpc::get_details(first, timeout)?.into_future();
//!     let second = rpc::get_details(second, timeout)?.into_future();
//!     Ok(first.await?.values().len() + second.await?.values().len())
//! }
//! ```

use std::{ffi::CStr, sync::Arc, time::Duration};

use bytes::Bytes;

#[cfg(feature = "cli")]
pub use crate::client::description::{Description, State};
use crate::{
    activity::options::subject_from_json,
    client::{Effort, Ending},
    config::Options,
    model::{
        attempt::Target,
        codec::{OwnCodec, PayloadCodec},
        deadline::{Start, Timeout},
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

pub use crate::process::call::Call;

/// This library's version.
pub const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };

/// The default timeout of one call in the bindings.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects the process to a server. The JSON options override the environment, which overrides the defaults. With the option
/// `when_absent`, and without an activity in the environment, it dials nothing: the process is inactive.
pub fn connect(options_json: &[u8]) -> Result<Call<()>> {
    if Options::are_inactive(options_json)? {
        return process::connect_inactive();
    }
    process::connect(Options::read(options_json)?)
}

/// Does the same with a codec of this program, which encodes all values that are sent, and decodes those that are read. It
/// replaces the codec server of the options.
pub fn connect_with_codec(options_json: &[u8], codec: Arc<dyn PayloadCodec>) -> Result<Call<()>> {
    if Options::are_inactive(options_json)? {
        return process::connect_inactive();
    }
    let mut options = Options::read(options_json)?;
    options.own_codec = Some(OwnCodec(codec));
    process::connect(options)
}

/// Changes `api_key`, `grpc_meta` and `tls` while connected. The JSON options override those in force. Activities
/// stay open.
pub fn reconfigure(options_json: &[u8]) -> Result<()> {
    process::reconfigure(options_json)
}

/// Ends the client. Calls in progress end with `NotConnected`. Without a client it does nothing.
///
/// First sends the newest records of open activities, until `timeout`, and closes the activities.
pub fn disconnect(timeout: Timeout) -> Result<Call<()>> {
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
pub fn token_from_ids(options_json: &[u8], timeout: Timeout) -> Result<Call<Bytes>> {
    let (ids, attempt) = subject_from_json(options_json)?;
    let session = process::session()?;
    Ok(Call::new(session, timeout.start_sending()?, |client, deadline| async move {
        Ok(client.token_from_ids(&ids, attempt, Effort::Until(&deadline)).await?)
    }))
}

/// Records one heartbeat and returns the server's signals. `None` erases the details that the server holds.
pub fn heartbeat(token: &[u8], details: Option<Payloads>, timeout: Timeout) -> Result<Call<Signals>> {
    let token = free(token)?;
    let session = process::session()?;
    session.client().rules().check("details", &details)?;
    Ok(Call::new(session, timeout.start_sending()?, |client, deadline| async move {
        Ok(client.heartbeat(&Target::Token(token), details, Effort::Until(&deadline)).await?.signals)
    }))
}

/// Returns the details that the server holds now.
pub fn get_details(token: &[u8], timeout: Timeout) -> Result<Call<Details>> {
    token::check(token)?;
    let session = process::session()?;
    let deadline = timeout.start_sending()?;
    let token = secret::shared(token);
    Ok(Call::new(session, deadline, |client, deadline| async move {
        let details = client.details(&token, Effort::Until(&deadline)).await?;
        Ok(client.decode(details, Effort::Until(&deadline)).await?)
    }))
}

/// Returns the details as the server stores them, without asking the codec. For the command-line program.
#[cfg(feature = "cli")]
pub fn get_stored_details(token: &[u8], timeout: Timeout) -> Result<Call<Details>> {
    token::check(token)?;
    let token = secret::shared(token);
    Ok(Call::new(process::session()?, timeout.start_sending()?, |client, deadline| async move {
        Ok(client.details(&token, Effort::Until(&deadline)).await?)
    }))
}

/// Returns the server's description of the token's activity. For the command-line program.
#[cfg(feature = "cli")]
pub fn describe(token: &[u8], timeout: Timeout) -> Result<Call<Description>> {
    token::check(token)?;
    let token = secret::shared(token);
    Ok(Call::new(process::session()?, timeout.start_sending()?, |client, deadline| async move {
        let description = client.description(&token, Effort::Until(&deadline)).await?;
        let details = client.decode(description.details, Effort::Until(&deadline)).await?;
        let last_failure = match description.last_failure {
            Some(failure) => Some(client.decode_failure(failure, Effort::Until(&deadline)).await?),
            None => None,
        };
        Ok(Description { details, last_failure, ..description })
    }))
}

/// Completes the activity with a result.
pub fn complete(token: &[u8], result: Option<Payloads>, timeout: Timeout) -> Result<Call<()>> {
    let token = free(token)?;
    let session = process::session()?;
    session.client().rules().check_result(&result)?;
    end(session, token, Ending::Complete(result), timeout)
}

/// Ends the attempt with a failure, described in JSON. For a standalone activity, sends its heartbeat details in a
/// heartbeat first.
pub fn fail(token: &[u8], failure_json: &[u8], timeout: Timeout) -> Result<Call<()>> {
    let token = free(token)?;
    let report = Report::read(failure_json)?;
    let session = process::session()?;
    session.client().rules().check_report(&report)?;
    end(session, token, Ending::Fail(report), timeout)
}

/// Ends the activity as cancelled, after the server has requested that.
pub fn report_cancelled(token: &[u8], details: Option<Payloads>, timeout: Timeout) -> Result<Call<()>> {
    let token = free(token)?;
    let session = process::session()?;
    session.client().rules().check("details", &details)?;
    end(session, token, Ending::Cancel(details), timeout)
}

fn end(session: Arc<Session>, token: Bytes, ending: Ending, timeout: Timeout) -> Result<Call<()>> {
    let deadline = timeout.start_sending()?;
    let (doubting, target) = (session.client().clone(), Target::Token(token));
    let (sent, start) = (target.clone(), Arc::<Start>::default());
    let abandoned = start.clone();
    let call = Call::new(session, deadline, |client, deadline| async move {
        let ending = client.encode_ending(ending, Effort::Until(&deadline)).await?;
        client.end(&target, &ending, false, &deadline, &start).await
    });
    // For example because this process was stopped: the server may have ended the activity.
    let in_doubt = move |without| {
        if !abandoned.prevent() {
            doubting.note_doubt(&sent);
        }
        Err(without)
    };
    Ok(call.or(in_doubt))
}

/// Returns the process's metrics in the Prometheus text format.
pub fn metrics() -> Result<String> {
    Ok(process::activities()?.exposition())
}

/// Removes and returns the oldest log record, as JSON. Waits for one; returns `None` on timeout.
pub fn next_log(timeout: Timeout) -> Result<Option<String>> {
    Ok(process::telemetry()?.log.next(&timeout.start_waiting()))
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

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, sync::mpsc, thread};

    use super::*;
    use crate::{activity::Activities, process::queue::Queues};

    fn session(address: &str) -> (Arc<Session>, &'static Activities) {
        let options = Options::read(format!(r#"{{"address":"{address}"}}"#).as_bytes()).unwrap();
        let activities: &'static Activities = Box::leak(Box::new(Activities::new(0, Arc::default())));
        let queues: &'static Queues = Box::leak(Box::new(Queues::new(0)));
        (Arc::new(Session::start(options, activities, queues, &activities.telemetry).unwrap()), activities)
    }

    fn complete(session: &Arc<Session>, timeout: Duration) -> Result<()> {
        end(session.clone(), "token".into(), Ending::Complete(None), Timeout::Within(timeout))?.wait()
    }

    #[test]
    fn ending_without_an_outcome_in_time_is_in_doubt() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let (session, activities) = session(&address);
        let (thaw, thawed) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let call = scope.spawn(|| complete(&session, Duration::from_secs(1)));
            silent.accept().unwrap();
            // Like a stopped process, of which the caller is the first to continue.
            session.spawn(async move { thawed.recv().unwrap() });
            assert_eq!(call.join().unwrap().unwrap_err().status(), Status::Timeout);
        });
        assert!(activities.in_doubt.has(format!("{address}token").as_bytes()));
        thaw.send(()).unwrap();
    }

    #[test]
    fn ending_that_has_not_begun_in_time_never_begins() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        let (session, activities) = session(&address);
        let (thaw, thawed) = mpsc::channel::<()>();
        session.spawn(async move { thawed.recv().unwrap() });
        let late = complete(&session, Duration::from_millis(20));
        assert_eq!(late.unwrap_err().status(), Status::Timeout);
        assert!(!activities.in_doubt.has(format!("{address}token").as_bytes()));
        thaw.send(()).unwrap();
        let (promise, done) = mpsc::channel();
        session.spawn(async move { promise.send(()).unwrap() });
        done.recv().unwrap();
        server.set_nonblocking(true).unwrap();
        assert_eq!(server.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}
