//! One call a command, for scripts.

use std::{
    io::{self, Write},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Args;
use serde_json::{Value as Json, json};
use temporal_heartbeat::{
    api::rpc,
    model::{
        deadline::Timeout,
        details::{Details, Value},
        error::{Error, Result},
        payload::Payloads,
        signals::Signals,
        status::Status,
        token::Token,
    },
};
use zeroize::Zeroizing;

use crate::{connection::Connection, console, exit_code, token::TokenArgs, value::ValueArgs};

/// Flags of every call.
#[derive(Args, Debug)]
pub struct CallArgs {
    #[command(flatten)]
    token: TokenArgs,
    /// How long the call may take, retries included
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl CallArgs {
    /// Connects, and gives what every call takes.
    fn begin(&self, connection: &Connection) -> Result<(Zeroizing<Vec<u8>>, Timeout)> {
        let token = self.token.read()?;
        connection.connect()?;
        Ok((token, Timeout::Within(self.timeout)))
    }
}

/// Record a heartbeat, and say what the server asks for
///
/// Without a value the details that the server holds are sent again: a beat without details would erase them.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  temporal-heartbeat heartbeat 41
  temporal-heartbeat heartbeat '{\"item\": 41}'
  temporal-heartbeat heartbeat --exit-code 41 || exit    # 10: cancel requested, 11: reset, 12: paused
")]
pub struct HeartbeatArgs {
    #[command(flatten)]
    details: ValueArgs,
    /// Erase the details that the server holds
    #[arg(long, conflicts_with = "ValueArgs")]
    clear: bool,
    /// Exit with 10 when cancellation is requested, 11 when the activity was reset, 12 when it is paused
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    call: CallArgs,
}

/// Print the last details: what a retry goes on from
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  first=$(temporal-heartbeat details --default 0)
  temporal-heartbeat details > checkpoint.bin
")]
pub struct DetailsArgs {
    /// Which of several values, from 0
    #[arg(long, default_value_t = 0)]
    index: usize,
    /// What to print when there is none
    #[arg(long, value_name = "TEXT")]
    default: Option<String>,
    #[command(flatten)]
    call: CallArgs,
}

/// End the activity with a result
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  temporal-heartbeat complete
  temporal-heartbeat complete '{\"rows\": 1200}'
  ./report.sh | temporal-heartbeat complete --json-file -
")]
pub struct CompleteArgs {
    #[command(flatten)]
    result: ValueArgs,
    #[command(flatten)]
    call: CallArgs,
}

/// End the attempt with a failure; the server retries it unless told otherwise
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  temporal-heartbeat fail 'the disk is full'
  temporal-heartbeat fail --type BadInput --non-retryable 'no such customer'
")]
pub struct FailArgs {
    /// What happened
    message: String,
    /// The kind of failure, which retry policies and workflows look at
    #[arg(long = "type", value_name = "NAME", default_value = "")]
    kind: String,
    /// Don't retry
    #[arg(long)]
    non_retryable: bool,
    /// When to retry, instead of when the retry policy says
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    next_retry_delay: Option<Duration>,
    /// What goes with the failure, in JSON
    #[arg(long, value_name = "JSON")]
    details: Vec<String>,
    #[command(flatten)]
    call: CallArgs,
}

/// End the activity as cancelled, after a cancellation was requested
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  temporal-heartbeat cancelled --text 'stopped at item 41'\n")]
pub struct ReportArgs {
    #[command(flatten)]
    details: ValueArgs,
    #[command(flatten)]
    call: CallArgs,
}

/// `heartbeat`
pub fn heartbeat(connection: &Connection, args: HeartbeatArgs) -> Result<u8> {
    let given = args.details.read("details")?;
    let (token, timeout) = args.call.begin(connection)?;
    let details = match given {
        Some(details) => Some(details),
        None if args.clear => None,
        None => held(&rpc::get_details(&token, timeout)?),
    };
    let signals = rpc::heartbeat(&token, details, timeout)?;
    let names = names(signals);
    console::result(&json!({"signals": names}), &names.join(" "));
    Ok(match args.exit_code {
        true if signals.contains(Signals::CANCEL_REQUESTED) => exit_code::CANCEL_REQUESTED,
        true if signals.contains(Signals::RESET) => exit_code::RESET,
        true if signals.contains(Signals::PAUSED) => exit_code::PAUSED,
        _ => 0,
    })
}

/// `details`
pub fn details(connection: &Connection, args: &DetailsArgs) -> Result<u8> {
    let (token, timeout) = args.call.begin(connection)?;
    let details = rpc::get_details(&token, timeout)?;
    if console::is_json() {
        let values: Vec<Json> = details.values().iter().map(shown).collect();
        console::result(&json!({"values": values}), "");
        return Ok(0);
    }
    let mut out = io::stdout();
    let written = match (details.values().get(args.index), &args.default) {
        (Some(value), _) if is_text(value) => out.write_all(&[text(value), b"\n"].concat()),
        (Some(value), _) => out.write_all(&value.data),
        (None, Some(default)) => writeln!(out, "{default}"),
        (None, None) => Ok(()),
    };
    written.map_err(|why| {
        Error::new(Status::LocalLimit, format!("can't write to the standard output: {why}"))
    })?;
    Ok(0)
}

/// `complete`
pub fn complete(connection: &Connection, args: CompleteArgs) -> Result<u8> {
    let result = args.result.read("result")?;
    let (token, timeout) = args.call.begin(connection)?;
    rpc::complete(&token, result, timeout)?;
    console::result(&json!({"ended": "completed"}), "");
    Ok(0)
}

/// `fail`
pub fn fail(connection: &Connection, args: FailArgs) -> Result<u8> {
    let mut details = Vec::new();
    for text in &args.details {
        let value: Json = serde_json::from_str(text).map_err(|why| {
            Error::new(Status::InvalidArgument, format!("--details isn't valid JSON: {why}"))
        })?;
        details.push(value);
    }
    let delay = args.next_retry_delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
    let failure = json!({
        "message": args.message,
        "type": args.kind,
        "non_retryable": args.non_retryable,
        "next_retry_delay_ms": delay,
        "details": details,
    });
    let (token, timeout) = args.call.begin(connection)?;
    rpc::fail(&token, failure.to_string().as_bytes(), timeout)?;
    console::result(&json!({"ended": "failed"}), "");
    Ok(0)
}

/// `cancelled`
pub fn cancelled(connection: &Connection, args: ReportArgs) -> Result<u8> {
    let details = args.details.read("details")?;
    let (token, timeout) = args.call.begin(connection)?;
    rpc::report_cancelled(&token, details, timeout)?;
    console::result(&json!({"ended": "cancelled"}), "");
    Ok(0)
}

/// `status`
pub fn status(connection: &Connection, args: &TokenArgs) -> Result<u8> {
    let token = args.read()?;
    connection.connect()?;
    let details = rpc::get_details(&token, Timeout::Within(rpc::DEFAULT_TIMEOUT))?;
    let about = details.about();
    let read = Token::read(&token);
    if let Some(read) = &read
        && read.attempt.number != about.attempt
    {
        let (theirs, ours) = (about.attempt, read.attempt.number);
        let why = format!("the token is of attempt {ours}; the server is at attempt {theirs}");
        return Err(Error::new(Status::NotFound, why));
    }
    let ids = read.map(|read| read.ids);
    let recorded = (about.recorded_at_unix_ms > 0).then_some(about.recorded_at_unix_ms);
    let timeout =
        about.heartbeat_timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    let values: Vec<Json> = details.values().iter().map(shown).collect();
    let value = json!({
        "workflow_id": ids.as_ref().map(|ids| &ids.workflow_id).filter(|id| !id.is_empty()),
        "run_id": ids.as_ref().map(|ids| &ids.run_id),
        "activity_id": ids.as_ref().map(|ids| &ids.activity_id),
        "attempt": about.attempt,
        "heartbeat_timeout_ms": timeout,
        "recorded_at_unix_ms": recorded,
        "details": values,
    });
    let mut lines = Vec::new();
    for (name, value) in value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        lines.push(match value {
            Json::String(text) => format!("{name}: {text}"),
            other => format!("{name}: {other}"),
        });
    }
    console::result(&value, &lines.join("\n"));
    Ok(0)
}

/// The details to send again, if there are any.
fn held(details: &Details) -> Option<Payloads> {
    (!details.values().is_empty()).then(|| details.payloads().clone())
}

/// The names of signals.
pub fn names(signals: Signals) -> Vec<&'static str> {
    [
        (Signals::CANCEL_REQUESTED, "cancel_requested"),
        (Signals::PAUSED, "paused"),
        (Signals::RESET, "reset"),
        (Signals::GONE, "gone"),
        (Signals::LEASE_LOST, "lease_lost"),
        (Signals::STALLED, "stalled"),
        (Signals::REFUSED, "refused"),
        (Signals::DEADLINE, "deadline"),
        (Signals::UNSEEDED, "unseeded"),
    ]
    .into_iter()
    .filter(|(signal, _)| signals.contains(*signal))
    .map(|(_, name)| name)
    .collect()
}

/// Whether a value is JSON.
pub fn is_text(value: &Value) -> bool {
    value.encoding.starts_with("json/") || value.encoding == "binary/null"
}

/// The JSON of a value that is.
pub fn text(value: &Value) -> &[u8] {
    if value.encoding == "binary/null" { b"null" } else { &value.data }
}

/// A value, for JSON: what is no JSON is shown in base64.
fn shown(value: &Value) -> Json {
    match is_text(value).then(|| serde_json::from_slice(text(value)).ok()).flatten() {
        Some(json) => json,
        None => json!({"encoding": value.encoding, "base64": BASE64_STANDARD.encode(&value.data)}),
    }
}
