//! Does the work of a Temporal Activity in Rust, through the crate:
//!
//! ```sh
//! activity ITEMS
//! ```
//!
//! Reads the task token from `TEMPORAL_ACTIVITY_TASK_TOKEN` and the server's address from `TEMPORAL_ADDRESS`. Records each
//! finished item. If the process is killed, the Activity's next attempt resumes after the last item that the server has.

use std::{env, process::ExitCode, thread, time::Duration};

use temporal_heartbeat::{
    api::{
        activity,
        rpc::{self, Call},
    },
    model::{
        deadline::Timeout,
        error::{Error, Result},
        payload::{Encoding, Payloads},
        signals::Signals,
    },
};

const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let items = env::args().nth(1).and_then(|items| items.parse().ok()).unwrap_or(20);
    match run(items) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {}", error.status().name().to_string_lossy(), error.message());
            ExitCode::FAILURE
        }
    }
}

fn run(items: u32) -> Result<()> {
    rpc::connect(b"{}")?.wait()?;
    let done = activity::open(&[], br#"{"from_env": true}"#).and_then(|handle| {
        // After this report the server retries at once, and shows the reason. It refuses the report if the attempt is over.
        work(handle, items).inspect_err(|error| {
            let failure = serde_json::json!({"message": error.message()}).to_string();
            let _ = activity::fail(handle, failure.as_bytes(), Timeout::Within(TIMEOUT)).and_then(Call::wait);
        })
    });
    rpc::disconnect(Timeout::Within(TIMEOUT))?.wait()?; // sends the last record, and closes the activity
    println!("{}", done?);
    Ok(())
}

fn work(handle: u64, items: u32) -> Result<&'static str> {
    let timeout = Timeout::Within(TIMEOUT);
    for item in last_item(handle)? + 1..=items {
        thread::sleep(Duration::from_millis(100)); // the work
        println!("item {item} done");

        let mut signals = activity::record(handle, Encoding::Json, item.to_string().as_bytes())?;
        if signals.contains(Signals::PAUSED) {
            signals = activity::wait_while_paused(handle, Timeout::Forever)?; // heartbeats continue
        }
        if signals.contains(Signals::CANCEL_REQUESTED) {
            activity::report_cancelled(handle, None, timeout)?.wait()?;
            return Ok("cancelled");
        }
        if signals.intersects(Signals::STOP) {
            return Ok("stopped");
        }
    }
    let result = Payloads::from_caller("result", Encoding::Json, items.to_string().as_bytes())?;
    activity::complete(handle, result, timeout)?.wait()?;
    Ok("completed")
}

/// Returns the last item that the previous attempt recorded, or 0.
fn last_item(handle: u64) -> Result<u32> {
    let details = activity::details(handle, Timeout::Within(TIMEOUT))?.wait()?;
    let text = details.values().first().map_or("0".into(), |value| String::from_utf8_lossy(&value.data));
    let not_an_item = |_| Error::argument(format!("the previous attempt's details are not an item: {text}"));
    let item = text.parse().map_err(not_an_item)?;
    println!("attempt {} resumes after item {item}", details.about().attempt);
    Ok(item)
}
