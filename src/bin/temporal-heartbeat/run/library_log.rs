//! Shows the library's log records about mistakes of the user, about outages of the codec server, and about polling. The activity's signals
//! report the other events. If the server should be followed by default, and can't be, that isn't shown: then heartbeats show a cancellation.

use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;
use temporal_heartbeat::{
    api::rpc::{self, Call},
    model::deadline::Timeout,
};

use super::args::{FollowServer, RunArgs};
use crate::{connection, console};

/// Without a failure for this long, the next failure of the codec server begins an outage.
const OUTAGE_END: Duration = Duration::from_secs(60);

/// Shows the records of this process from now on until it disconnects, in a thread.
pub struct LibraryLog(Option<JoinHandle<()>>);

impl LibraryLog {
    /// Disconnects, and waits until all records are shown.
    pub fn finish(self) {
        let disconnected = rpc::disconnect(Timeout::Zero).and_then(Call::wait);
        if let (Ok(()), Some(thread)) = (disconnected, self.0) {
            // Fails if the thread has panicked.
            let _ = thread.join();
        }
    }
}

/// Begins to show the records.
pub fn show(args: &RunArgs) -> LibraryLog {
    let must_follow = args.follow_server == FollowServer::Always;
    let run = move || {
        let mut codec_failed_at: Option<Instant> = None;
        while let Ok(record) = rpc::next_log(Timeout::Forever) {
            let record: Value = record.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
            let text = |key| record.get(key).and_then(Value::as_str).unwrap_or_default();
            match text("event") {
                "no_heartbeat_timeout" | "polling_works" => console::notice(text("message")),
                "not_followed" if must_follow => console::notice(text("message")),
                "polling_failed" | "task_handed_back" => {
                    console::warning(&connection::with_flags(text("message")));
                }
                "codec_failed" => {
                    let last = codec_failed_at.replace(Instant::now());
                    if last.is_none_or(|at| at.elapsed() > OUTAGE_END) {
                        let message = connection::with_flags(text("message"));
                        console::notice(&format!(
                            "values can't be encoded or decoded at the moment: {message}"
                        ));
                    }
                }
                "disconnected" => return,
                _ => {}
            }
        }
    };
    // If the thread can't be started, only these warnings are missing.
    LibraryLog(thread::Builder::new().name("log".into()).spawn(run).ok())
}
