//! The commands for scripts. Each makes one call: `heartbeat`, `details`, `complete`, `fail`, `cancelled`, `status`.

use std::time::Duration;

use clap::Args;
use serde_json::{Value as Json, json};
use temporal_heartbeat::{
    api::rpc,
    model::{
        deadline::Timeout,
        details::Details,
        error::{Error, Result},
        printable::printable,
        signals::Signals,
        status::Status,
        token::Token,
    },
};
use zeroize::Zeroizing;

use crate::{
    connection::Connection,
    console, exit_code,
    token::{IdArgs, TokenArgs},
    value::{ValueArgs, is_json, json_text, to_json, to_ms},
};

/// The flags of a call.
#[derive(Args, Debug)]
pub struct CallArgs {
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    ids: IdArgs,
    /// How long the call may take, retries included
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl CallArgs {
    /// Connects, and returns the arguments of every call.
    fn connect(&self, connection: &Connection) -> Result<(Zeroizing<Vec<u8>>, Timeout)> {
        let timeout = Timeout::Within(self.timeout);
        if let Some(ids) = self.ids.json() {
            connection.connect()?;
            return Ok((Zeroizing::new(rpc::token_from_ids(ids.as_bytes(), timeout)?.into()), timeout));
        }
        let token = self.token.read()?;
        connection.connect()?;
        Ok((token, timeout))
    }
}

/// Record a heartbeat, and print the server's signals
///
/// Without a value the current details are sent again, because a heartbeat without details would erase them.
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
    /// Erase the current details
    #[arg(long, conflicts_with = "ValueArgs")]
    clear: bool,
    /// Exit with 10 when cancellation is requested, 11 when the activity was reset, 12 when it is paused
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    call: CallArgs,
}

/// Print the last details, from which a retry resumes
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  first=$(temporal-heartbeat details --default 0)
  temporal-heartbeat details > checkpoint.bin
")]
pub struct DetailsArgs {
    /// The index of the value to print, from 0
    #[arg(long, default_value_t = 0)]
    index: usize,
    /// The text to print if there is no such value
    #[arg(long, value_name = "TEXT")]
    default: Option<String>,
    #[command(flatten)]
    call: CallArgs,
}

/// Complete the activity with a result
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

/// Fail the attempt; the server retries it by default
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  temporal-heartbeat fail 'the disk is full'
  temporal-heartbeat fail --type BadInput --non-retryable 'no such customer'
")]
pub struct FailArgs {
    /// The description of the failure
    message: String,
    /// The type of the failure, which retry policies and workflows may check
    #[arg(long = "type", value_name = "NAME", default_value = "")]
    kind: String,
    /// Don't retry
    #[arg(long)]
    non_retryable: bool,
    /// The failure is expected: workers and clients neither log nor count it as an error
    #[arg(long)]
    benign: bool,
    /// The time until the retry, instead of the retry policy's
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    next_retry_delay: Option<Duration>,
    /// A value to add to the failure, in JSON; can be given several times
    #[arg(long, value_name = "JSON")]
    details: Vec<String>,
    #[command(flatten)]
    call: CallArgs,
}

/// Report the activity as cancelled, after its cancellation was requested
#[derive(Args, Debug)]
#[command(after_long_help = "Example:\n  temporal-heartbeat cancelled --text 'stopped at item 41'\n")]
pub struct CancelledArgs {
    #[command(flatten)]
    details: ValueArgs,
    #[command(flatten)]
    call: CallArgs,
}

/// Runs `heartbeat`.
pub fn heartbeat(connection: &Connection, args: HeartbeatArgs) -> Result<u8> {
    let given = args.details.read("details")?;
    let (token, timeout) = args.call.connect(connection)?;
    let details = if given.is_some() || args.clear {
        given
    } else {
        let current = rpc::get_details(&token, timeout)?;
        (!current.values().is_empty()).then(|| current.payloads().clone())
    };
    let signals = rpc::heartbeat(&token, details, timeout)?;
    let names = signal_names(signals);
    console::result(&json!({"signals": names}), &names.join(" "));
    Ok(match args.exit_code {
        true if signals.contains(Signals::CANCEL_REQUESTED) => exit_code::CANCEL_REQUESTED,
        true if signals.contains(Signals::RESET) => exit_code::RESET,
        true if signals.contains(Signals::PAUSED) => exit_code::PAUSED,
        _ => 0,
    })
}

/// Runs `details`.
pub fn details(connection: &Connection, args: &DetailsArgs) -> Result<u8> {
    let (token, timeout) = args.call.connect(connection)?;
    let details = rpc::get_details(&token, timeout)?;
    if console::is_json() {
        console::result(&json!({"values": json_values(&details)}), "");
        return Ok(0);
    }
    match (details.values().get(args.index), &args.default) {
        (Some(value), _) if is_json(value) => console::write_stdout(&[json_text(value), b"\n"].concat())?,
        (Some(value), _) => console::write_stdout(&value.data)?,
        (None, Some(default)) => console::write_stdout(format!("{default}\n").as_bytes())?,
        (None, None) => {}
    }
    Ok(0)
}

/// Runs `complete`.
pub fn complete(connection: &Connection, args: CompleteArgs) -> Result<u8> {
    let result = args.result.read("result")?;
    let (token, timeout) = args.call.connect(connection)?;
    rpc::complete(&token, result, timeout)?;
    console::result(&json!({"ended": "completed"}), "");
    Ok(0)
}

/// Runs `fail`.
pub fn fail(connection: &Connection, args: FailArgs) -> Result<u8> {
    let parse = |text: &String| {
        serde_json::from_str(text)
            .map_err(|why| Error::argument(format!("--details isn't valid JSON: {why}")))
    };
    let details = args.details.iter().map(parse).collect::<Result<Vec<Json>>>()?;
    let failure = json!({
        "message": args.message,
        "type": args.kind,
        "non_retryable": args.non_retryable,
        "next_retry_delay_ms": args.next_retry_delay.map(to_ms),
        "details": details,
        "category": args.benign.then_some("benign"),
    });
    let (token, timeout) = args.call.connect(connection)?;
    rpc::fail(&token, failure.to_string().as_bytes(), timeout)?;
    console::result(&json!({"ended": "failed"}), "");
    Ok(0)
}

/// Runs `cancelled`.
pub fn cancelled(connection: &Connection, args: CancelledArgs) -> Result<u8> {
    let details = args.details.read("details")?;
    let (token, timeout) = args.call.connect(connection)?;
    rpc::report_cancelled(&token, details, timeout)?;
    console::result(&json!({"ended": "cancelled"}), "");
    Ok(0)
}

/// Runs `status`.
pub fn status(connection: &Connection, args: &TokenArgs) -> Result<u8> {
    let token = args.read()?;
    connection.connect()?;
    let details = rpc::get_details(&token, Timeout::Within(rpc::DEFAULT_TIMEOUT))?;
    let about = details.about();
    let token = Token::read(&token);
    if let Some(token) = &token
        && token.attempt.number != about.attempt
    {
        let (ours, current) = (token.attempt.number, about.attempt);
        let why = format!("the token is of attempt {ours}; the server is at attempt {current}");
        return Err(Error::new(Status::NotFound, why));
    }
    let ids = token.as_ref().map(|token| &token.ids);
    let value = json!({
        "workflow_id": ids.map(|ids| &ids.workflow_id).filter(|id| !id.is_empty()),
        "run_id": ids.map(|ids| &ids.run_id),
        "activity_id": ids.map(|ids| &ids.activity_id),
        "attempt": about.attempt,
        "heartbeat_timeout_ms": about.heartbeat_timeout.map(to_ms),
        "recorded_at_unix_ms": (about.recorded_at_unix_ms > 0).then_some(about.recorded_at_unix_ms),
        "details": json_values(&details),
    });
    let mut lines = Vec::new();
    for (name, value) in value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        lines.push(match value {
            Json::String(text) => format!("{name}: {}", printable(text)),
            other => format!("{name}: {}", printable(&other.to_string())),
        });
    }
    console::result(&value, &lines.join("\n"));
    Ok(0)
}

fn json_values(details: &Details) -> Vec<Json> {
    details.values().iter().map(to_json).collect()
}

fn signal_names(signals: Signals) -> Vec<&'static str> {
    let is_set = |bit: usize| signals.bits() >> bit & 1 == 1;
    Signals::NAMES.into_iter().enumerate().filter(|(bit, _)| is_set(*bit)).map(|(_, name)| name).collect()
}
