//! Reports a stall: gets the stacks of the process, logs them, and fails the attempt if its options ask for that.

use std::{pin::pin, sync::Arc, time::Duration};

use serde::Serialize;

use super::{
    Activities,
    ending_call::{Before, EndingCall},
    handle::Handle,
    stack_text,
    stall_options::{StackDump, StallAction},
    state::StallFacts,
};
use crate::{
    client::{Client, Ending},
    model::{
        attempt::Ids,
        deadline::{Deadline, unless_stopped},
        error::Result,
        failure::Report,
        payload::Payloads,
        status::Status,
    },
    runtime,
    sys::{blocking, clock::Moment, stack_dump, sync::AsyncMutex},
    telemetry::log_record::{Event, Value},
};

/// The type of the failure.
pub const FAILURE_TYPE: &str = "Stalled";
/// How long one report is retried before the activity is examined again.
const REPORT_TIMEOUT: Duration = Duration::from_secs(60);
/// Stacks that were read for another activity of the process less than this before are used again.
const FRESH: Duration = Duration::from_secs(2);

/// The stacks that were read last. Locked while stacks are read, because all activities may share one descriptor.
#[derive(Default)]
pub struct Stacks {
    last: AsyncMutex<Option<(StackDump, Moment, String)>>,
}

impl Activities {
    /// Checks an activity for a stall. Returns whether the scheduler must report it.
    pub(super) fn check_stall(&self, handle: Handle, now: Moment) -> bool {
        let Ok(Some(action)) = self.registry.with(handle, |activity| activity.check_stall(now)) else {
            return false;
        };
        // Wakes the calls that wait for a signal.
        let has_dump = self
            .registry
            .change(handle, |activity| activity.stall_facts(now).is_some_and(|facts| facts.dump.is_some()));
        action == StallAction::Fail || has_dump.unwrap_or(false)
    }

    /// Excludes time in which the process didn't run from the time without progress.
    pub(super) fn exclude_from_stalls(&self, time: Duration, now: Moment) {
        for handle in self.registry.handles() {
            // A closed activity doesn't stall.
            let _ = self.registry.with(handle, |activity| activity.exclude_from_stall(time, now));
        }
    }

    /// Reports a stall, unless progress was made since.
    pub(super) async fn report_stall(&'static self, handle: Handle, client: Arc<Client>) {
        let mut ending = StallEnding {
            activities: self,
            handle,
            call: EndingCall::of_stall(self, handle, client.clone()),
            is_done: false,
        };
        let outcome = {
            let report = pin!(self.report(handle, &client, &ending.call));
            // A report that arrives after the handle was closed could end another attempt.
            unless_stopped(report, self.until_closed(handle)).await
        };
        if let Some(outcome) = outcome {
            ending.finish(outcome);
        }
    }

    async fn report(&self, handle: Handle, client: &Client, call: &EndingCall) -> Result<()> {
        let facts = || self.registry.with(handle, |activity| activity.stall_facts(Moment::now()));
        let Some(StallFacts { dump, .. }) = facts()? else { return Ok(()) };
        let stacks = match dump {
            Some(dump) => self.stacks(dump).await,
            None => String::new(),
        };
        // Reading the stacks takes time.
        let Some(facts) = facts()? else { return Ok(()) };
        let fields = [("status", Value::Text(&facts.status)), ("stacks", Value::Text(&stacks))];
        self.log_stall(handle, &fields, || explanation(&facts));
        if facts.action != StallAction::Fail {
            return Ok(());
        }
        let report = report(&facts, &stacks, client.encodes_common_attributes());
        let deadline = Deadline::within(REPORT_TIMEOUT);
        call.run(&deadline, Before::RecordThatFailureLoses, Ending::Fail(report)).await
    }

    /// Returns the stacks of the process, or why there are none.
    async fn stacks(&self, dump: StackDump) -> String {
        let mut last = self.stacks.last.lock().await;
        if let Some((of, read, stacks)) = &*last
            && *of == dump
            && Moment::now() < read.later(FRESH)
        {
            return stacks.clone();
        }
        let StackDump { descriptor, file, signal, thread } = dump;
        let written = blocking::run(move || stack_dump::read(descriptor, file, signal, thread)).await;
        let stacks = match written.and_then(|written| written) {
            Ok(written) => stack_text::arrange(&written),
            Err(why) => format!("(the stacks can't be read: {why})"),
        };
        *last = Some((dump, Moment::now(), stacks.clone()));
        stacks
    }

    fn log_stall(&self, handle: Handle, fields: &[(&str, Value<'_>)], words: impl FnOnce() -> String) {
        let ids = self.registry.with(handle, |activity| activity.ids()).unwrap_or_default();
        let Ids { activity_id, workflow_id, .. } = &ids;
        let known = [
            ("activity", Value::Number(handle.number())),
            ("activity_id", Value::Text(activity_id)),
            ("workflow_id", Value::Text(workflow_id)),
        ];
        let is_given = |(_, value): &(&str, Value<'_>)| !matches!(value, Value::Text(""));
        let fields: Vec<_> = known.into_iter().chain(fields.iter().copied().filter(is_given)).collect();
        self.telemetry
            .log
            .write(Event::StallReport, &fields, || format!("activity {activity_id}: {}", words()));
    }
}

/// The report of a stall. However it ends, the activity gets its outcome.
struct StallEnding {
    activities: &'static Activities,
    handle: Handle,
    call: EndingCall,
    is_done: bool,
}

impl StallEnding {
    fn finish(&mut self, outcome: Result<()>) {
        self.is_done = true;
        let Err(why) = outcome else { return };
        let is_in_doubt = why.status() == Status::InDoubt;
        let failed = self.activities.registry.change(self.handle, |activity| {
            if !is_in_doubt {
                activity.stall_report_failed(Moment::now());
            }
            (activity.stall_facts(Moment::now()).is_some(), activity.due())
        });
        // Otherwise the handle was closed.
        let Ok((is_stalled, due)) = failed else { return };
        // Otherwise the activity is over, or progress was made.
        if is_stalled || is_in_doubt {
            self.activities.log_stall(self.handle, &[], || format!("the stall couldn't be reported: {why}"));
        }
        self.activities.wake_at(self.handle, due);
    }
}

impl Drop for StallEnding {
    fn drop(&mut self) {
        if !self.is_done {
            let outcome = self.call.abandon(runtime::disconnected());
            self.finish(outcome);
        }
    }
}

/// What a codec encodes as details.
#[derive(Serialize)]
struct Texts<'a> {
    status: &'a str,
    stacks: &'a str,
}

/// Returns the failure of a stalled attempt.
fn report(facts: &StallFacts, stacks: &str, encodes_common_attributes: bool) -> Report {
    let message = time_without_progress(facts);
    if facts.is_brief || facts.status.is_empty() && stacks.is_empty() {
        return Report::of_library(FAILURE_TYPE, message, String::new());
    }
    if !facts.is_encrypted || encodes_common_attributes {
        return Report::of_library(FAILURE_TYPE, explanation(facts), stacks.to_owned());
    }
    if !facts.has_codec {
        let why = "the status and the stacks are left out, because they would be readable";
        return Report::of_library(FAILURE_TYPE, format!("{message}; {why}"), String::new());
    }
    let why = "the status and the stacks are in the details, which the codec has encoded";
    let mut report = Report::of_library(FAILURE_TYPE, format!("{message}; {why}"), String::new());
    let texts = Texts { status: &facts.status, stacks };
    let json = serde_json::to_string(&texts).unwrap_or_default();
    report.set_details(Payloads::from_json_values([json.as_str()]));
    report
}

fn explanation(facts: &StallFacts) -> String {
    let mut text = time_without_progress(facts);
    if !facts.status.is_empty() {
        text += "; status: ";
        text += &facts.status;
    }
    text
}

fn time_without_progress(facts: &StallFacts) -> String {
    let silent = humantime::format_duration(rounded(facts.silent));
    format!("nothing was recorded for {silent} (stall_timeout_ms is {})", facts.timeout.as_millis())
}

/// Cuts what a reader doesn't need.
fn rounded(time: Duration) -> Duration {
    match time.as_secs() {
        0..10 => Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        seconds => Duration::from_secs(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(is_encrypted: bool) -> StallFacts {
        StallFacts {
            action: StallAction::Fail,
            silent: Duration::from_millis(723_456),
            timeout: Duration::from_secs(600),
            status: "loading shard 7".to_owned(),
            dump: None,
            is_brief: false,
            is_encrypted,
            has_codec: false,
        }
    }

    #[test]
    fn failure_says_how_long_and_what() {
        let Report { failure, heartbeat_details } = report(&facts(false), "at line 7", false);
        assert_eq!(
            failure.message,
            "nothing was recorded for 12m 3s (stall_timeout_ms is 600000); status: loading shard 7"
        );
        assert_eq!((failure.stack_trace.as_str(), heartbeat_details), ("at line 7", None));
        let refused = format!("{:?}", failure.failure_info);
        assert!(refused.contains("\"Stalled\"") && refused.contains("non_retryable: false"), "{refused}");
    }

    #[test]
    fn brief_failure_says_only_how_long() {
        for is_encrypted in [false, true] {
            let facts = StallFacts { is_brief: true, ..facts(is_encrypted) };
            let failure = report(&facts, "at line 7", true).failure;
            assert!(failure.stack_trace.is_empty() && failure.message.ends_with("is 600000)"), "{failure:?}");
        }
    }

    #[test]
    fn encrypted_activity_shows_neither_status_nor_stacks() {
        let readable = report(&facts(true), "at line 7", false).failure;
        assert!(!format!("{readable:?}").contains("shard"), "{readable:?}");
        assert!(readable.stack_trace.is_empty() && readable.message.contains("would be readable"));
        // The client encodes them.
        let hidden = report(&facts(true), "at line 7", true).failure;
        assert!(hidden.message.contains("shard 7") && hidden.stack_trace == "at line 7");
    }

    #[test]
    fn codec_encodes_the_report_as_details() {
        let facts = StallFacts { has_codec: true, ..facts(true) };
        let mut report = report(&facts, "at line 7", false);
        assert!(!report.failure.message.contains("shard") && report.failure.stack_trace.is_empty());
        let details = report.values_mut().next().unwrap().values().unwrap();
        assert_eq!(details[0].data, r#"{"status":"loading shard 7","stacks":"at line 7"}"#);
    }
}
