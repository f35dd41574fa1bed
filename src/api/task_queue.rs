//! Polls a task queue for activity tasks, like a worker. For the command-line program; the shared library has no such
//! call.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    api::rpc::Call,
    client::Effort,
    model::{
        attempt::Ids,
        deadline::{Deadline, Timeout},
        details::Details,
        error::Result,
        payload::Payloads,
    },
    process,
    proto::temporal::api::{
        deployment::v1::WorkerDeploymentOptions,
        enums::v1::{TaskQueueType, WorkerVersioningMode},
        taskqueue::v1::TaskQueue,
        workflowservice::v1::{
            PollActivityTaskQueueRequest, PollActivityTaskQueueResponse, ShutdownWorkerRequest,
        },
    },
    transport::TryTime,
};

/// How long one poll waits for a task. The server holds it about a second less, and at most a minute. It is shorter
/// than in the SDKs because a shutdown waits for the current polls: aborting a poll can lose a task.
pub const POLL_TIME: Duration = Duration::from_secs(20);
/// How long to try to release the polls.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
const POLL: TryTime = TryTime { answer: POLL_TIME, silence: POLL_TIME };

/// The source of tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// The task queue's name.
    pub name: String,
    /// The worker version; `None`: for unversioned tasks.
    pub deployment: Option<Deployment>,
    /// Identifies this worker in its polls. After [`release_polls`] it gets no more tasks, so each worker needs a new one.
    pub worker: String,
}

/// A build of a worker deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// The deployment's name.
    pub name: String,
    /// The id of the build.
    pub build_id: String,
}

/// One attempt of an activity.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Its task token.
    pub token: Bytes,
    /// The ids of the activity.
    pub ids: Ids,
    /// The activity's type.
    pub activity_type: String,
    /// The type of its workflow, if it has one.
    pub workflow_type: Option<String>,
    /// The arguments.
    pub input: Payloads,
    /// The previous attempt's last details; empty when there are none.
    pub details: Payloads,
    /// The attempt, from 1.
    pub attempt: i32,
    /// The heartbeat timeout; zero: none.
    pub heartbeat_timeout: Duration,
    /// The start-to-close timeout; `None`: none.
    pub start_to_close_timeout: Option<Duration>,
}

/// Waits for the next task, for at most [`POLL_TIME`]. Returns `None` without one.
pub fn next(queue: &Queue) -> Result<Option<Task>> {
    let deployment = queue.deployment.as_ref();
    let request = PollActivityTaskQueueRequest {
        task_queue: Some(TaskQueue { name: queue.name.clone() }),
        deployment_options: deployment.map(|Deployment { name, build_id }| WorkerDeploymentOptions {
            deployment_name: name.clone(),
            build_id: build_id.clone(),
            worker_versioning_mode: WorkerVersioningMode::Versioned.into(),
        }),
        worker_instance_key: queue.worker.clone(),
        ..PollActivityTaskQueueRequest::default()
    };
    let answer = Call::new(process::session()?, Deadline::within(POLL_TIME), |client, _| async move {
        Ok(client.poll(request, Effort::Once(POLL.start())).await?)
    })
    .wait()?;
    Ok((!answer.task_token.is_empty()).then(|| Task::from(answer)))
}

/// Decodes the values of a task, if there is a codec server.
pub fn decode(values: Payloads, timeout: Timeout) -> Result<Call<Details>> {
    let values = Details::handed_over(values)?;
    Ok(Call::new(process::session()?, timeout.start_sending()?, |client, deadline| async move {
        Ok(client.decode(values, Effort::Until(&deadline)).await?)
    }))
}

/// Makes the server complete the outstanding polls of the queue's worker, and give it no more tasks. Returns false if the server can't do
/// that.
pub fn release_polls(queue: &Queue) -> Result<bool> {
    let request = ShutdownWorkerRequest {
        worker_instance_key: queue.worker.clone(),
        task_queue: queue.name.clone(),
        task_queue_types: vec![TaskQueueType::Activity.into()],
        reason: "shutdown".to_owned(),
        ..ShutdownWorkerRequest::default()
    };
    let deadline = Deadline::within(RELEASE_TIMEOUT);
    Call::new(process::session()?, deadline, |client, deadline| async move {
        Ok(client.release_polls(request, Effort::Until(&deadline)).await?)
    })
    .wait()
}

impl From<PollActivityTaskQueueResponse> for Task {
    fn from(answer: PollActivityTaskQueueResponse) -> Self {
        let activity_id = answer.activity_id;
        let ids = match answer.workflow_execution.filter(|workflow| !workflow.workflow_id.is_empty()) {
            Some(workflow) => Ids { workflow_id: workflow.workflow_id, run_id: workflow.run_id, activity_id },
            None => Ids { workflow_id: String::new(), run_id: answer.activity_run_id, activity_id },
        };
        Task {
            token: answer.task_token,
            ids,
            activity_type: answer.activity_type.unwrap_or_default().name,
            workflow_type: answer.workflow_type.map(|kind| kind.name).filter(|name| !name.is_empty()),
            input: answer.input.unwrap_or_default(),
            details: answer.heartbeat_details.unwrap_or_default(),
            attempt: answer.attempt,
            heartbeat_timeout: limit(answer.heartbeat_timeout).unwrap_or_default(),
            start_to_close_timeout: limit(answer.start_to_close_timeout),
        }
    }
}

/// Converts a timeout; zero means none.
fn limit(timeout: Option<prost_types::Duration>) -> Option<Duration> {
    timeout.and_then(|timeout| timeout.try_into().ok()).filter(|timeout: &Duration| !timeout.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::temporal::api::common::v1::WorkflowExecution;

    const fn s(seconds: i64) -> prost_types::Duration {
        prost_types::Duration { seconds, nanos: 0 }
    }

    #[test]
    fn wait_for_a_worker_does_not_shorten_the_start_to_close_timeout() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let timeout = |start_to_close| {
            Task::from(PollActivityTaskQueueResponse {
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
            Task::from(PollActivityTaskQueueResponse {
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
