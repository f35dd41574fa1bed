//! Shows the library's log records about mistakes of the user. The activity's signals report the other events.

use std::thread;

use serde_json::Value;
use temporal_heartbeat::{api::rpc, model::deadline::Timeout};

use crate::console;

/// The events to show.
const EVENTS: [&str; 1] = ["no_heartbeat_timeout"];

/// Shows the records of this process from now on, in a thread.
pub fn show() {
    let run = || {
        while let Ok(record) = rpc::next_log(Timeout::Forever) {
            let record: Value = record.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
            let text = |key| record.get(key).and_then(Value::as_str).unwrap_or_default();
            if EVENTS.contains(&text("event")) {
                console::warning(text("message"));
            }
        }
    };
    // If the thread can't be started, only these warnings are missing.
    let _ = thread::Builder::new().name("log".into()).spawn(run);
}
