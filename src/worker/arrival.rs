//! A task that has arrived: opens its activity, decodes its values, and hands it back if the caller takes too long.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Worker,
    task::{Facts, Slot, Task, Values},
};
use crate::{
    activity::{handle::Handle, registry::Checked, state::Activity},
    client::{Effort, Ending},
    model::{
        attempt::Target,
        deadline::{Deadline, Start, Timeout},
        details::Details,
        error::Result,
        failure::Report,
    },
    proto::temporal::api::workflowservice::v1::PollActivityTaskQueueResponse,
    runtime,
    telemetry::log_record::{Event, Value},
};

/// A task that the caller doesn't take within this time, or within half of its heartbeat timeout, is handed back.
const LONGEST_UNTAKEN: Duration = Duration::from_secs(10);
/// How long the values of a task are decoded, with retries, before the task is handed back.
const DECODE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long to try to hand back a task. After that the server retries it when its heartbeat timeout has passed.
const HAND_BACK_TIMEOUT: Duration = Duration::from_secs(10);

/// The length of the list of types in the failure of a task of another type.
const LONGEST_LIST: usize = 1000;

/// Why a closed worker hands back a task.
pub const CLOSED: &str = "the worker is shutting down";

/// A task that can't be taken yet, and isn't handed back. A shutdown waits for it.
pub struct Arrival(Arc<Worker>);

impl Arrival {
    /// Notes that a task has arrived.
    pub fn begin(worker: &Arc<Worker>) -> Self {
        worker.polling.lock().arriving += 1;
        Arrival(worker.clone())
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.0.polling.lock().arriving -= 1;
        self.0.idle.notify_waiters();
    }
}

impl Worker {
    /// Makes a task available to the caller, in a task of the runtime.
    pub(super) fn accept(self: &Arc<Self>, answer: PollActivityTaskQueueResponse, slot: Slot) {
        self.counts.tasks.fetch_add(1, Ordering::Relaxed);
        self.client.transport().telemetry().metrics.tasks_received.one();
        let arrival = Arrival::begin(self);
        let (facts, values) = Facts::read(answer, &self.options.task_queue);
        let worker = self.clone();
        drop(runtime::spawn(async move { worker.attend(arrival, facts, values, Arc::new(slot)).await }));
    }

    async fn attend(&self, arrival: Arrival, facts: Facts, values: Values, slot: Arc<Slot>) {
        if let Some(message) = self.refusal(&facts) {
            return self.hand_back(&facts, "NotFoundError", &message).await;
        }
        let options = facts.open_options(&self.options.activity, &values.details);
        let handle = match self.activities.open(self.began, &facts.token, options) {
            Ok(handle) => handle,
            Err(error) => return self.hand_back(&facts, "Worker", error.message()).await,
        };
        // From here on the attempt is kept alive, also while the codec server is away.
        let untaken = LONGEST_UNTAKEN.min(match facts.heartbeat_timeout {
            Duration::ZERO => LONGEST_UNTAKEN,
            timeout => timeout / 2,
        });
        let (input, details) = match self.decoded(values).await {
            Ok(values) => values,
            Err(error) => return self.hand_back_closed(handle, &facts, "Worker", error.message()).await,
        };
        let task = Task { activity: handle.number(), facts, input, details, slot: slot.clone() };
        if let Some(Ok(task)) = self.ready.push(Ok(Box::new(task))) {
            return self.hand_back_open(task, "Shutdown", CLOSED).await;
        }
        drop(arrival);

        let finished = |activity: &mut Activity| match activity.is_finished() {
            true => Ok(Checked::Found(())),
            false => Ok(Checked::Again(Duration::MAX)),
        };
        let registry = &self.activities.registry;
        let time_is_over =
            matches!(registry.wait(handle, &Deadline::within(untaken), finished).await, Ok(None));
        if time_is_over {
            if let Some(task) = self.ready.remove(handle.number()) {
                let limit = humantime::format_duration(untaken);
                let message = format!("the program didn't take the task from the worker within {limit}");
                return self.hand_back_open(task, "Worker", &message).await;
            }
            // Fails if the handle was closed, which ends the wait too.
            let _ = registry.wait(handle, &Timeout::Forever.start_waiting(), finished).await;
        }
        drop(slot);
    }

    /// Returns why this worker doesn't run the activity, if it doesn't.
    fn refusal(&self, facts: &Facts) -> Option<String> {
        let (kind, types) = (&facts.activity_type, &self.options.activity_types);
        let is_run = types.is_empty() || types.contains(kind);
        (!is_run)
            .then(|| format!("no activity of type {kind} is run by this worker; it runs {}", listed(types)))
    }

    async fn decoded(&self, values: Values) -> Result<(Details, Details)> {
        let (input, details) = values.into_details()?;
        let deadline = Deadline::within(DECODE_TIMEOUT);
        let input = self.client.decode(input, Effort::Until(&deadline)).await?;
        Ok((input, self.client.decode(details, Effort::Until(&deadline)).await?))
    }

    /// Hands back an untaken task.
    pub(super) async fn hand_back_open(&self, task: Box<Task>, kind: &str, message: &str) {
        if let Ok(handle) = self.activities.registry.handle(task.activity) {
            self.hand_back_closed(handle, &task.facts, kind, message).await;
        }
    }

    async fn hand_back_closed(&self, handle: Handle, facts: &Facts, kind: &str, message: &str) {
        // Nothing was recorded, so the server keeps the details of the previous attempt.
        self.activities.finish_closing(handle);
        self.hand_back(facts, kind, message).await;
    }

    /// Fails an attempt as retryable, so that the server retries it.
    async fn hand_back(&self, facts: &Facts, kind: &str, message: &str) {
        let telemetry = self.client.transport().telemetry();
        telemetry.metrics.tasks_handed_back.one();
        let failed = self.fail(facts, kind, message).await;
        let fields = &[
            ("task_queue", Value::Text(&self.options.task_queue)),
            ("activity_type", Value::Text(&facts.activity_type)),
            ("activity_id", Value::Text(&facts.ids.activity_id)),
        ];
        telemetry.log.write(Event::TaskHandedBack, fields, || match failed {
            Ok(()) => format!("a task is handed back: {message}"),
            Err(error) => format!(
                "a task can't be handed back, so that it is retried after its timeout: {message}; {error}"
            ),
        });
    }

    async fn fail(&self, facts: &Facts, kind: &str, message: &str) -> Result<()> {
        let report = Report::of_library(kind, message.to_owned(), String::new());
        let deadline = Deadline::within(HAND_BACK_TIMEOUT);
        let ending = self.client.encode_ending(Ending::Fail(report), Effort::Until(&deadline)).await?;
        let target = Target::Token(facts.token.clone());
        self.client.end(&target, &ending, false, &deadline, &Start::default()).await
    }
}

/// Returns a text with the first types, and the number of the others.
fn listed(types: &[String]) -> String {
    let mut length = 0;
    let shown = types.iter().take_while(|name| {
        length += name.len();
        length <= LONGEST_LIST
    });
    let shown: Vec<_> = shown.map(String::as_str).collect();
    match types.len() - shown.len() {
        _ if shown.is_empty() => "types whose names are too long to list".to_owned(),
        0 => shown.join(", "),
        others => format!("{} and {others} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_of_types_is_short() {
        let types: Vec<_> = (0..200).map(|number| format!("type{number:03}")).collect();
        assert_eq!(listed(&types[..3]), "type000, type001, type002");
        assert!(listed(&types).ends_with(", type141 and 58 more"), "{}", listed(&types));
        assert!(listed(&["x".repeat(1 << 20)]).len() < 100);
    }
}
