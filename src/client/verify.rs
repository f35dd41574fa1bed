//! Checks the outcome of an ending in doubt in the server's records: which identity ended the activity, and how.

use std::collections::HashMap;

use super::{Client, Effort, Ending, admit::check, describe::execution};
use crate::{
    client::{
        description::{Description, State},
        rpc_error::RpcError,
    },
    model::{
        attempt::{Attempt, Ids, Target},
        deadline::Deadline,
        details::Details,
        error::Error,
        failure::Report,
        status::Status,
        time::unix_ns,
        token::Token,
    },
    proto::temporal::api::{
        failure::v1::{Failure, failure::FailureInfo},
        history::v1::{HistoryEvent, history_event::Attributes},
        workflowservice::v1 as api,
    },
};

/// The page size of history reads, and the most pages. An activity that isn't in the newest hundred thousand events
/// stays in doubt.
const PAGE: i32 = 1000;
const MAX_PAGES: usize = 100;

impl Client {
    /// Returns whether this ending ended the attempt. Returns `None` if that can't be determined, or without
    /// `verify`.
    pub(super) async fn verdict(
        &self,
        target: &Target,
        ending: &Ending,
        verify: bool,
        deadline: &Deadline,
    ) -> Option<bool> {
        if !verify {
            return None;
        }
        let (ids, attempt) = match target {
            Target::Token(token) => Token::read(token).map(|token| (token.ids, token.attempt))?,
            Target::Checked { ids, attempt, .. } => (ids.clone(), *attempt),
        };
        let effort = Effort::Until(deadline);
        if ids.workflow_id.is_empty() {
            let found = self.describe(&ids, effort).await.ok()?;
            return self
                .standalone_verdict(&found, attempt, ending)
                .filter(|_| !lags_behind(&found, attempt));
        }
        let record = self.record_of(&ids, effort).await.ok()?;
        match record.end {
            Some(end) => {
                let is_ours = end.state == ending.state()
                    && end.attempt.may_be(attempt)
                    && end.identity == self.identity;
                // The history doesn't show the details. Those of an earlier try of this call may be older.
                let shows_all = !matches!(ending, Ending::Fail(Report { heartbeat_details: Some(_), .. }));
                known_of(ending, is_ours, end.attempt.is(attempt)).filter(|_| !is_ours || shows_all)
            }
            // The activity isn't over, or its workflow is closed. Of all endings, only a failure is followed by
            // another attempt.
            None => match (ending, self.describe(&ids, effort).await) {
                (Ending::Fail(report), Ok(found)) => failed_so(&found, attempt, report),
                (_, Ok(found)) => (!lags_behind(&found, attempt)).then_some(false),
                (Ending::Fail(_), Err(_)) => None,
                (_, Err(rpc_error)) => (rpc_error.error.status() == Status::NotFound).then_some(false),
            },
        }
    }

    fn standalone_verdict(&self, found: &Description, attempt: Attempt, ending: &Ending) -> Option<bool> {
        let ours = found.attempt.number == attempt.number && found.last_identity == self.identity;
        match (ending, found.state) {
            (Ending::Fail(report), State::Running | State::Waiting) => failed_so(found, attempt, report),
            // The server doesn't record which identity reported the cancellation. Only the attempt's holder can do that.
            (Ending::Cancel(_), State::Cancelled) => Some(found.attempt.number == attempt.number),
            (Ending::Fail(report), State::Failed) if ours && !has_details_of(found, report) => None,
            (_, state) => known_of(ending, state == ending.state() && ours, found.attempt.is(attempt)),
        }
    }

    /// Returns the id of the event that scheduled an activity, if the history can be read that far back.
    pub(super) async fn scheduled_event_id(&self, ids: &Ids, effort: Effort<'_>) -> Result<i64, RpcError> {
        Ok(self.record_of(ids, effort).await?.scheduled_event_id)
    }

    /// Returns the record of the newest activity with this id in its workflow's history.
    async fn record_of(&self, ids: &Ids, effort: Effort<'_>) -> Result<Record, RpcError> {
        let mut next_page_token = bytes::Bytes::new();
        let mut reader = Reader::default();
        for _ in 0..MAX_PAGES {
            let request = api::GetWorkflowExecutionHistoryReverseRequest {
                namespace: self.namespace.clone(),
                execution: Some(execution(ids)),
                maximum_page_size: PAGE,
                next_page_token,
            };
            let answer = self.ask(&api::GET_WORKFLOW_EXECUTION_HISTORY_REVERSE, &request, effort).await?;
            for event in answer.history.unwrap_or_default().events {
                if let Some(record) = reader.read(&ids.activity_id, event) {
                    return Ok(record);
                }
            }
            next_page_token = answer.next_page_token;
            if next_page_token.is_empty() {
                break;
            }
        }
        Err(RpcError::permanent(Error::new(
            Status::Unimplemented,
            "the history doesn't show when the activity was scheduled: open the activity by its ids, or hand over its task token",
        )))
    }
}

/// Returns whether the description is older than the end of the attempt.
fn lags_behind(found: &Description, attempt: Attempt) -> bool {
    check(attempt, found).err().is_none_or(|why| why.error.status() != Status::NotFound)
}

/// Returns whether the ending was applied, if that is known. `is_shown`: the activity ended so. A failure may have been
/// followed by other attempts, whose end hides it; after a reset, one of them may have the number of this attempt. So for a
/// failure, `is_last` must be true: this attempt was surely the last one.
fn known_of(ending: &Ending, is_shown: bool, is_last: bool) -> Option<bool> {
    (is_shown || is_last || !matches!(ending, Ending::Fail(_))).then_some(is_shown)
}

/// Returns whether the attempt ended with this report, according to the description of the next attempt. `None`: the
/// description doesn't show it.
fn failed_so(found: &Description, attempt: Attempt, report: &Report) -> Option<bool> {
    let told = |failure: &Failure| {
        let kind = failure
            .failure_info
            .as_ref()
            .map(|FailureInfo::ApplicationFailureInfo(info)| info.r#type.clone());
        (failure.message.clone(), failure.source.clone(), kind, failure.encoded_attributes.clone())
    };
    // After a reset the numbers start over, and later attempts hide the outcome of this one.
    if found.attempt.number != attempt.number.saturating_add(1) {
        return None;
    }
    // An operator's change of the options or a reset erases the failure.
    let is_ours = told(found.last_failure.as_ref()?) == told(&report.failure);
    if is_ours {
        // Details that were recorded after the failure was applied are lost. The next attempt may have replaced them too.
        return has_details_of(found, report).then_some(true);
    }
    // The failure is that of another attempt with the same number, unless the next attempt hasn't started yet.
    let previous = Attempt { number: attempt.number, ..found.attempt };
    (found.state == State::Waiting && previous.is(attempt)).then_some(false)
}

/// Returns whether the server holds the details that belong to the failure.
fn has_details_of(found: &Description, report: &Report) -> bool {
    let Some(details) = &report.heartbeat_details else { return true };
    Details::handed_over(details.clone()).is_ok_and(|details| details.values() == found.details.values())
}

/// An activity in its workflow's history.
struct Record {
    scheduled_event_id: i64,
    end: Option<End>,
}

/// The final end of an activity.
struct End {
    state: State,
    attempt: Attempt,
    identity: String,
}

/// Reads a history from its newest event. For each activity the end comes first, then the start, then the scheduled
/// event.
#[derive(Default)]
struct Reader {
    ends: HashMap<i64, (State, String)>,
    attempts: HashMap<i64, Attempt>,
}

impl Reader {
    fn read(&mut self, activity_id: &str, event: HistoryEvent) -> Option<Record> {
        let event_id = event.event_id;
        match event.attributes? {
            Attributes::ActivityTaskCompletedEventAttributes(end) => {
                self.ends.insert(end.scheduled_event_id, (State::Completed, end.identity));
            }
            Attributes::ActivityTaskFailedEventAttributes(end) => {
                self.ends.insert(end.scheduled_event_id, (State::Failed, end.identity));
            }
            Attributes::ActivityTaskCanceledEventAttributes(end) => {
                self.ends.insert(end.scheduled_event_id, (State::Cancelled, end.identity));
            }
            Attributes::ActivityTaskTimedOutEventAttributes(end) => {
                self.ends.insert(end.scheduled_event_id, (State::Over, String::new()));
            }
            Attributes::ActivityTaskStartedEventAttributes(start) => {
                let started_at = unix_ns(event.event_time);
                let attempt = Attempt { number: start.attempt, started_at };
                self.attempts.insert(start.scheduled_event_id, attempt);
            }
            Attributes::ActivityTaskScheduledEventAttributes(scheduled) => {
                let end = self.ends.remove(&event_id);
                let attempt = self.attempts.remove(&event_id).unwrap_or_default();
                if scheduled.activity_id == activity_id {
                    let end = end.map(|(state, identity)| End { state, attempt, identity });
                    return Some(Record { scheduled_event_id: event_id, end });
                }
            }
            Attributes::ActivityTaskCancelRequestedEventAttributes(_)
            | Attributes::WorkflowExecutionCancelRequestedEventAttributes(_) => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{client::description::State, config::Options, model::payload::Payloads, runtime::Runtime};

    fn described(attempt: Attempt, state: State) -> Description {
        Description {
            ids: Ids::default(),
            attempt,
            state,
            state_in_words: "",
            details: Details::default(),
            conditions: Default::default(),
            last_failure: None,
            changes: None,
            last_identity: String::new(),
        }
    }

    #[test]
    fn failure_stays_in_doubt_if_the_server_lacks_it_or_its_details() {
        let report = |details: &str| {
            let report = Report::read(br#"{"message":"broken"}"#).unwrap();
            Report { heartbeat_details: Some(Payloads::from_json_values([details])), ..report }
        };
        let found = Description {
            details: Details::handed_over(Payloads::from_json_values(["1"])).unwrap(),
            last_failure: Some(*report("1").failure),
            ..described(Attempt { number: 2, started_at: 0 }, State::Waiting)
        };
        let first = Attempt { number: 1, started_at: 0 };
        assert_eq!(failed_so(&found, first, &report("1")), Some(true));
        assert_eq!(failed_so(&found, first, &report("2")), None);
        // After an operator has changed the options.
        let changed = Description { last_failure: None, ..found };
        assert_eq!(failed_so(&changed, first, &report("1")), None);
    }

    #[test]
    fn final_failure_of_a_standalone_activity_stays_in_doubt_if_the_server_lacks_its_details() {
        let options = Options::read(br#"{"address":"127.0.0.1:1","identity":"me"}"#).unwrap();
        let io_thread = Runtime::new().io_thread();
        let client =
            Client::new(&options, Arc::default(), Arc::default(), io_thread, Arc::default()).unwrap();
        let attempt = Attempt { number: 1, started_at: 7 };
        let found = Description {
            details: Details::handed_over(Payloads::from_json_values(["1"])).unwrap(),
            last_identity: "me".into(),
            ..described(attempt, State::Failed)
        };
        let verdict = |details: &str| {
            let report = Report::read(br#"{"message":"broken"}"#).unwrap();
            let details = Some(Payloads::from_json_values([details]));
            client.standalone_verdict(
                &found,
                attempt,
                &Ending::Fail(Report { heartbeat_details: details, ..report }),
            )
        };
        assert_eq!(verdict("1"), Some(true));
        assert_eq!(verdict("2"), None, "an earlier try with older details was applied");
    }

    #[test]
    fn another_failure_is_of_this_attempt_only_if_its_start_shows_it() {
        let report = Report::read(br#"{"message":"broken"}"#).unwrap();
        let other = Report::read(br#"{"message":"timed out"}"#).unwrap();
        let found = |state, started_at| Description {
            last_failure: Some(Failure::clone(&other.failure)),
            ..described(Attempt { number: 2, started_at }, state)
        };
        // Before a start, the server describes the start of the attempt before.
        let first = Attempt { number: 1, started_at: 7 };
        assert_eq!(failed_so(&found(State::Waiting, 7), first, &report), Some(false));
        // A reset may have let another attempt have the same number.
        assert_eq!(failed_so(&found(State::Waiting, 9), first, &report), None);
        assert_eq!(failed_so(&found(State::Running, 9), first, &report), None);
        assert_eq!(failed_so(&found(State::Waiting, 0), Attempt { started_at: 0, ..first }, &report), None);
    }

    #[test]
    fn a_failure_stays_in_doubt_when_a_later_attempt_has_ended_the_activity() {
        let options = Options::read(br#"{"address":"127.0.0.1:1"}"#).unwrap();
        let io_thread = Runtime::new().io_thread();
        let client =
            Client::new(&options, Arc::default(), Arc::default(), io_thread, Arc::default()).unwrap();
        let attempt = |number| Attempt { number, started_at: i64::from(number) };
        let ended_in = |number, state| described(attempt(number), state);
        let failure = Ending::Fail(Report::read(br#"{"message":"broken"}"#).unwrap());
        for state in [State::Completed, State::Failed, State::Over] {
            let verdict = |ending| client.standalone_verdict(&ended_in(3, state), attempt(1), ending);
            assert_eq!(verdict(&failure), None, "{state:?}");
            assert_eq!(verdict(&Ending::Complete(None)), Some(false), "{state:?}");
            let same = client.standalone_verdict(&ended_in(1, state), attempt(1), &failure);
            assert_eq!(same, Some(false), "{state:?}");
            // After a reset, a later attempt has the same number.
            let earlier = Attempt { number: 1, started_at: 100 };
            assert_eq!(client.standalone_verdict(&ended_in(1, state), earlier, &failure), None, "{state:?}");
        }
    }
}
