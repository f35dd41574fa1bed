//! Iterates over the items of an Activity, in Rust. A killed program resumes after its last item, in any language:
//!
//! ```sh
//! track ITEMS
//! ```
use std::{env, process::ExitCode, thread, time::Duration};

use temporal_heartbeat::{
    api::{
        activity, rpc,
        track::{TrackError, track},
    },
    model::{
        deadline::Timeout,
        payload::{Encoding, Payloads},
        signals::Signals,
    },
};

const TIMEOUT: Timeout = Timeout::Within(Duration::from_secs(10));

fn main() -> ExitCode {
    let items = env::args().nth(1).and_then(|items| items.parse().ok()).unwrap_or(20);
    match run(items) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(items: u32) -> Result<(), TrackError> {
    rpc::connect(b"{}")?.wait()?;
    let handle = activity::open(&[], br#"{"from_env": true}"#)?;
    let done = work(handle, items);
    if let Err(TrackError::Stopped(signals)) = &done
        && signals.contains(Signals::CANCEL_REQUESTED)
    {
        activity::report_cancelled(handle, None, TIMEOUT)?.wait()?;
    }
    rpc::disconnect(TIMEOUT)?.wait()?; // sends the last record, and closes the activity
    done
}

fn work(handle: u64, items: u32) -> Result<(), TrackError> {
    for item in track(handle, 0..items)? {
        let item = item?; // the work should stop
        thread::sleep(Duration::from_millis(20)); // the work
        println!("rust: item {item} done");
    }
    let result = Payloads::from_caller("result", Encoding::Json, items.to_string().as_bytes())?;
    activity::complete(handle, result, TIMEOUT)?.wait()?;
    Ok(())
}
