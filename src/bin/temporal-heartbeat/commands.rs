//! The commands for scripts. Each makes one call: `heartbeat`, `details`, `complete`, `fail`, `cancelled`, `status`.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value as Json, json};
use temporal_heartbeat::{
    api::rpc::{self, Description, State},
    model::{
        attempt::Ids,
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
    /// How long the command may take, with connecting and retries
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl CallArgs {
    /// Connects, and returns the arguments of every call: the token, and the time that is left for the call.
    fn connect(&self, connection: &Connection) -> Result<(Zeroizing<Vec<u8>>, Timeout)> {
        let start = Instant::now();
        let left = || Timeout::Within(self.timeout.saturating_sub(start.elapsed()));
        if let Some(ids) = self.ids.json() {
            connection.connect_within(self.timeout)?;
            let token = rpc::token_from_ids(ids.as_bytes(), left())?.wait()?.into();
            return Ok((Zeroizing::new(token), left()));
        }
        let token = self.token.read()?;
        connection.connect_within(self.timeout)?;
        Ok((token, left()))
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
  temporal-heartbeat heartbeat --exit-code 41 || exit
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
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
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
    /// The type of the failure, which retry policies and workflows may check [default: none]
    #[arg(long = "type", value_name = "NAME", default_value = "", hide_default_value = true)]
    kind: String,
    /// Don't retry
    #[arg(long)]
    non_retryable: bool,
    /// The failure is expected: workers and clients neither log nor count it as an error
    #[arg(long)]
    benign: bool,
    /// The time until the retry [default: that of the retry policy]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    next_retry_delay: Option<Duration>,
    /// A value to add to the failure, in JSON; can be given several times
    #[arg(long, value_name = "JSON")]
    details: Vec<String>,
    #[command(flatten)]
    call: CallArgs,
}

/// Show the server's state of the activity
///
/// The first lines are for people: the state, and times. The other ones are for scripts.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Exit codes:
    0  the attempt is running, or paused
   76  the activity is over for this attempt: the activity has ended or timed out, its workflow is closed, or another attempt has
       followed. Stop the work
`temporal-heartbeat --help` lists all codes.

Examples:
  temporal-heartbeat status
  temporal-heartbeat status --workflow-id month-7 --activity-id 1
")]
pub struct StatusArgs {
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
        // An outage of the codec server must not stop heartbeats that bring nothing new.
        let current = rpc::get_stored_details(&token, timeout)?.wait()?;
        (!current.values().is_empty()).then(|| current.payloads().clone())
    };
    let signals = rpc::heartbeat(&token, details, timeout)?.wait()?;
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
    let details = rpc::get_details(&token, timeout)?.wait()?;
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
    rpc::complete(&token, result, timeout)?.wait()?;
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
    rpc::fail(&token, failure.to_string().as_bytes(), timeout)?.wait()?;
    console::result(&json!({"ended": "failed"}), "");
    Ok(0)
}

/// Runs `cancelled`.
pub fn cancelled(connection: &Connection, args: CancelledArgs) -> Result<u8> {
    let details = args.details.read("details")?;
    let (token, timeout) = args.call.connect(connection)?;
    rpc::report_cancelled(&token, details, timeout)?.wait()?;
    console::result(&json!({"ended": "cancelled"}), "");
    Ok(0)
}

/// Runs `status`.
pub fn status(connection: &Connection, args: &StatusArgs) -> Result<u8> {
    let (token, timeout) = args.call.connect(connection)?;
    let description = rpc::describe(&token, timeout)?.wait()?;
    let about = description.details.about();
    if let Some(token) = Token::read(&token)
        && token.attempt.number != about.attempt
    {
        let (ours, current) = (token.attempt.number, about.attempt);
        let why = format!("the token is of attempt {ours}; the server is at attempt {current}");
        return Err(Error::new(Status::NotFound, why));
    }
    let Ids { workflow_id, run_id, activity_id } = &description.ids;
    let value = json!({
        "state": description.state_in_words,
        "workflow_id": (!workflow_id.is_empty()).then_some(workflow_id),
        "run_id": run_id,
        "activity_id": activity_id,
        "attempt": about.attempt,
        "heartbeat_timeout_ms": about.heartbeat_timeout.map(to_ms),
        "recorded_at_unix_ms": (about.recorded_at_unix_ms > 0).then_some(about.recorded_at_unix_ms),
        "details": json_values(&description.details),
    });
    console::result(&value, &status_lines(&description, &value).join("\n"));
    let is_over =
        matches!(description.state, State::Completed | State::Failed | State::Cancelled | State::Over);
    Ok(if is_over { exit_code::of_status(Status::NotFound) } else { 0 })
}

/// Returns the state for people, and then the values as scripts read them.
fn status_lines(description: &Description, value: &Json) -> Vec<String> {
    let about = description.details.about();
    let time = |unix_ms: i64| u64::try_from(unix_ms).ok().filter(|ms| *ms > 0).map(console::time_and_age);
    let heartbeats = match about.heartbeat_timeout {
        Some(timeout) if timeout.is_zero() => Some("none".to_owned()),
        timeout => timeout.map(console::duration),
    };
    let for_people = [
        ("state", Some(description.state_in_words.to_owned())),
        ("started", time(description.attempt.started_at / 1_000_000)),
        ("last_heartbeat", time(about.recorded_at_unix_ms).or(Some("none yet".to_owned()))),
        ("heartbeat_timeout", heartbeats),
        ("last_failure", description.last_failure.as_ref().map(|failure| failure.message.clone())),
    ];
    let for_scripts = value.as_object().into_iter().flatten().filter(|(name, _)| *name != "state");
    let for_scripts = for_scripts.map(|(name, value)| match value {
        Json::Null => (name.as_str(), None),
        Json::String(text) => (name.as_str(), Some(text.clone())),
        other => (name.as_str(), Some(other.to_string())),
    });
    let lines = for_people.into_iter().chain(for_scripts);
    lines.filter_map(|(name, text)| Some(format!("{name}: {}", printable(&text?)))).collect()
}

fn json_values(details: &Details) -> Vec<Json> {
    details.values().iter().map(to_json).collect()
}

fn signal_names(signals: Signals) -> Vec<&'static str> {
    let is_set = |bit: usize| signals.bits() >> bit & 1 == 1;
    Signals::NAMES.into_iter().enumerate().filter(|(bit, _)| is_set(*bit)).map(|(_, name)| name).collect()
}
