//! One task of a task queue: an attempt of an activity, with its input.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message;
use serde::{Serialize, Serializer, ser::SerializeMap};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    activity::options::OpenOptions,
    model::{attempt::Ids, details::Details, error::Result, payload::Payloads, time::unix_ms},
    proto::temporal::api::workflowservice::v1::PollActivityTaskQueueResponse,
};

/// A task that a worker has taken. Its activity is open.
pub struct Task {
    /// The handle of its activity.
    pub activity: u64,
    /// The token and the facts about the attempt.
    pub facts: Facts,
    /// The arguments.
    pub input: Details,
    /// The details that the previous attempt has recorded.
    pub details: Details,
    #[expect(dead_code, reason = "occupied until the task is dropped and its activity is over")]
    pub(super) slot: Arc<Slot>,
}

/// What a task says about its attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The task token.
    pub token: Bytes,
    /// The task queue.
    pub task_queue: String,
    /// The ids of the activity.
    pub ids: Ids,
    /// The activity's type.
    pub activity_type: String,
    /// The type of its workflow; empty for a standalone activity.
    pub workflow_type: String,
    /// The attempt, from 1.
    pub attempt: i32,
    /// The heartbeat timeout; zero: none.
    pub heartbeat_timeout: Duration,
    /// The start-to-close timeout; `None`: none.
    pub start_to_close_timeout: Option<Duration>,
    /// The schedule-to-close timeout; `None`: none.
    pub schedule_to_close_timeout: Option<Duration>,
    /// When the activity was scheduled, in milliseconds since 1970; 0: unknown.
    pub scheduled_at: i64,
    /// When this attempt was scheduled.
    pub attempt_scheduled_at: i64,
    /// When this attempt was started.
    pub started_at: i64,
    /// The names of the values in the header.
    pub header_keys: Vec<String>,
}

/// The values of a task, as the server has sent them.
#[derive(Debug, Default, PartialEq)]
pub struct Values {
    /// The arguments.
    pub input: Payloads,
    /// The previous attempt's details.
    pub details: Payloads,
}

impl Facts {
    /// Reads an encoded response of the server; `None` if it can't be read. For the fuzz target.
    #[doc(hidden)]
    pub fn decode(answer: &[u8]) -> Option<Self> {
        let (facts, values) = Self::read(PollActivityTaskQueueResponse::decode(answer).ok()?, "");
        values.into_details().ok().map(|_| facts)
    }

    /// Reads a response of the server that has a task.
    pub fn read(answer: PollActivityTaskQueueResponse, task_queue: &str) -> (Self, Values) {
        let activity_id = answer.activity_id;
        let ids = match answer.workflow_execution.filter(|workflow| !workflow.workflow_id.is_empty()) {
            Some(workflow) => Ids { workflow_id: workflow.workflow_id, run_id: workflow.run_id, activity_id },
            None => Ids { workflow_id: String::new(), run_id: answer.activity_run_id, activity_id },
        };
        let header = answer.header.unwrap_or_default().fields;
        let facts = Facts {
            token: answer.task_token,
            task_queue: task_queue.to_owned(),
            ids,
            activity_type: answer.activity_type.unwrap_or_default().name,
            workflow_type: answer.workflow_type.unwrap_or_default().name,
            attempt: answer.attempt,
            heartbeat_timeout: limit(answer.heartbeat_timeout).unwrap_or_default(),
            start_to_close_timeout: limit(answer.start_to_close_timeout),
            schedule_to_close_timeout: limit(answer.schedule_to_close_timeout),
            scheduled_at: unix_ms(answer.scheduled_time),
            attempt_scheduled_at: unix_ms(answer.current_attempt_scheduled_time),
            started_at: unix_ms(answer.started_time),
            header_keys: header.into_keys().collect(),
        };
        let values = Values {
            input: answer.input.unwrap_or_default(),
            details: answer.heartbeat_details.unwrap_or_default(),
        };
        (facts, values)
    }

    /// Returns the options with which the task's activity is opened: the caller's, and what the task contains.
    pub fn open_options(&self, given: &OpenOptions, details: &Payloads) -> OpenOptions {
        OpenOptions {
            heartbeat_timeout: self.heartbeat_timeout,
            initial_details: Some(details.clone()),
            attempt_remaining: self.start_to_close_timeout,
            ..given.clone()
        }
    }

    /// Returns the facts as a JSON object, without the token.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

// Written by hand, because `json!` would add 20 KiB of code and sort the keys.
impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("task_queue", &self.task_queue)?;
        map.serialize_entry("activity_type", &self.activity_type)?;
        map.serialize_entry("activity_id", &self.ids.activity_id)?;
        map.serialize_entry("workflow_type", &self.workflow_type)?;
        map.serialize_entry("workflow_id", &self.ids.workflow_id)?;
        map.serialize_entry("run_id", &self.ids.run_id)?;
        map.serialize_entry("attempt", &self.attempt)?;
        map.serialize_entry("heartbeat_timeout_ms", &ms(self.heartbeat_timeout))?;
        let start_to_close = self.start_to_close_timeout.unwrap_or_default();
        map.serialize_entry("start_to_close_timeout_ms", &ms(start_to_close))?;
        let schedule_to_close = self.schedule_to_close_timeout.unwrap_or_default();
        map.serialize_entry("schedule_to_close_timeout_ms", &ms(schedule_to_close))?;
        map.serialize_entry("scheduled_at_unix_ms", &self.scheduled_at)?;
        map.serialize_entry("attempt_scheduled_at_unix_ms", &self.attempt_scheduled_at)?;
        map.serialize_entry("started_at_unix_ms", &self.started_at)?;
        map.serialize_entry("header_keys", &self.header_keys)?;
        map.end()
    }
}

impl Values {
    /// Returns the values as details. Fails if they aren't valid.
    pub fn into_details(self) -> Result<(Details, Details)> {
        Ok((Details::handed_over(self.input)?, Details::handed_over(self.details)?))
    }
}

/// Converts a timeout; zero means none.
fn limit(timeout: Option<prost_types::Duration>) -> Option<Duration> {
    timeout.and_then(|timeout| timeout.try_into().ok()).filter(|timeout: &Duration| !timeout.is_zero())
}

/// A slot of a worker. Dropping it frees the slot.
pub struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    process: u32,
}

impl Slot {
    /// Creates a slot from a permit of the worker's semaphore.
    pub fn new(permit: OwnedSemaphorePermit) -> Self {
        Slot { permit: Some(permit), process: std::process::id() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Another thread may have locked the semaphore when the process was forked, so a forked child must not touch it.
        if std::process::id() != self.process {
            std::mem::forget(self.permit.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::temporal::api::common::v1::{Header, Payload, WorkflowExecution};

    const fn s(seconds: i64) -> prost_types::Duration {
        prost_types::Duration { seconds, nanos: 0 }
    }

    #[test]
    fn facts_are_json_without_the_token() {
        let (facts, _) = Facts::read(
            PollActivityTaskQueueResponse {
                task_token: "secret".into(),
                activity_id: "a \"quoted\"".to_owned(),
                heartbeat_timeout: Some(s(30)),
                header: Some(Header { fields: [("trace".to_owned(), Payload::default())].into() }),
                ..PollActivityTaskQueueResponse::default()
            },
            "q",
        );
        let text = facts.json();
        assert!(!text.contains("secret"));
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&read["task_queue"], &read["activity_id"]), (&"q".into(), &"a \"quoted\"".into()));
        assert_eq!(
            (&read["heartbeat_timeout_ms"], &read["start_to_close_timeout_ms"]),
            (&30_000.into(), &0.into())
        );
        assert_eq!(read["header_keys"], serde_json::json!(["trace"]));
    }

    fn facts(answer: PollActivityTaskQueueResponse) -> Facts {
        Facts::read(answer, "q").0
    }

    #[test]
    fn wait_for_a_worker_does_not_shorten_the_start_to_close_timeout() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let timeout = |start_to_close| {
            facts(PollActivityTaskQueueResponse {
                scheduled_time: at(100),
                started_time: at(140),
                schedule_to_close_timeout: Some(s(60)),
                start_to_close_timeout: Some(s(start_to_close)),
                ..PollActivityTaskQueueResponse::default()
            })
            .start_to_close_timeout
        };
        assert_eq!(timeout(30), Some(Duration::from_secs(30)));
        assert_eq!(timeout(0), None);
    }

    #[test]
    fn activity_without_a_workflow_is_standalone() {
        let task = |workflow_id: &str| {
            facts(PollActivityTaskQueueResponse {
                workflow_execution: Some(WorkflowExecution {
                    workflow_id: workflow_id.to_owned(),
                    run_id: "r".to_owned(),
                }),
                activity_id: "a".to_owned(),
                activity_run_id: "ar".to_owned(),
                ..PollActivityTaskQueueResponse::default()
            })
            .ids
        };
        let ids = |workflow_id: &str, run_id: &str| Ids {
            workflow_id: workflow_id.into(),
            run_id: run_id.into(),
            activity_id: "a".into(),
        };
        assert_eq!(task(""), ids("", "ar"));
        assert_eq!(task("w"), ids("w", "r"));
    }
}
