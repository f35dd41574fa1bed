//! Shows the library's log records about mistakes of the user, and about outages of the codec server. The activity's signals report the
//! other events. If the server should be followed by default, and can't be, that isn't shown: then heartbeats show a cancellation.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use temporal_heartbeat::{api::rpc, model::deadline::Timeout};

use super::args::{FollowServer, RunArgs};
use crate::{connection, console};

/// Without a failure for this long, the next failure of the codec server begins an outage.
const OUTAGE_END: Duration = Duration::from_secs(60);

/// Shows the records of this process from now on, in a thread.
pub fn show(args: &RunArgs) {
    let must_follow = args.follow_server == FollowServer::Always;
    let run = move || {
        let mut codec_failed_at: Option<Instant> = None;
        while let Ok(record) = rpc::next_log(Timeout::Forever) {
            let record: Value = record.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
            let text = |key| record.get(key).and_then(Value::as_str).unwrap_or_default();
            match text("event") {
                "no_heartbeat_timeout" => console::warning(text("message")),
                "not_followed" if must_follow => console::warning(text("message")),
                "codec_failed" => {
                    let last = codec_failed_at.replace(Instant::now());
                    if last.is_none_or(|at| at.elapsed() > OUTAGE_END) {
                        let message = connection::with_flags(text("message"));
                        console::warning(&format!(
                            "values can't be encoded or decoded at the moment: {message}"
                        ));
                    }
                }
                _ => {}
            }
        }
    };
    // If the thread can't be started, only these warnings are missing.
    let _ = thread::Builder::new().name("log".into()).spawn(run);
}
