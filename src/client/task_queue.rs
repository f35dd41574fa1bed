//! The calls of a worker: polling a task queue, and the heartbeats and the end of the worker itself.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::{CLIENT_NAME, CLIENT_VERSION, Client, Effort};
use crate::{
    client::rpc_error::RpcError,
    proto::temporal::api::{
        namespace::v1::namespace_info,
        worker::v1::{WorkerHeartbeat, WorkerHostInfo},
        workflowservice::v1 as api,
    },
    sys,
    transport::TryTime,
};

/// How long one poll waits for a task. The server holds it about a second less, and at most a minute. It is shorter
/// than in the SDKs because a shutdown waits for the current polls: aborting a poll can lose a task.
pub const POLL_TIME: Duration = Duration::from_secs(20);
const POLL: TryTime = TryTime { answer: POLL_TIME, silence: POLL_TIME };

/// What the server can do for workers.
#[derive(Default)]
pub struct Capabilities {
    releases_polls: AtomicBool,
    stores_worker_heartbeats: AtomicBool,
}

impl Capabilities {
    pub(super) fn set(&self, reported: Option<namespace_info::Capabilities>) {
        let reported = reported.unwrap_or_default();
        self.releases_polls.store(reported.worker_poll_complete_on_shutdown, Ordering::Relaxed);
        self.stores_worker_heartbeats.store(reported.worker_heartbeats, Ordering::Relaxed);
    }

    /// Returns whether the server completes the outstanding polls of a worker that shuts down.
    pub fn releases_polls(&self) -> bool {
        self.releases_polls.load(Ordering::Relaxed)
    }

    /// Returns whether the server stores the heartbeats of workers.
    pub fn stores_worker_heartbeats(&self) -> bool {
        self.stores_worker_heartbeats.load(Ordering::Relaxed)
    }
}

impl Client {
    /// Polls once for a task. Without a task, the response has no token.
    pub async fn poll(
        &self,
        request: api::PollActivityTaskQueueRequest,
    ) -> Result<api::PollActivityTaskQueueResponse, RpcError> {
        let (namespace, identity) = (self.namespace.clone(), self.identity.clone());
        let request = api::PollActivityTaskQueueRequest { namespace, identity, ..request };
        Ok(self.long_poll(&api::POLL_ACTIVITY_TASK_QUEUE, &request, Effort::Once(POLL.start())).await?.0)
    }

    /// Ends a worker. The server gives it no more tasks, and completes its outstanding polls if it can.
    pub async fn shut_worker_down(
        &self,
        request: api::ShutdownWorkerRequest,
        effort: Effort<'_>,
    ) -> Result<(), RpcError> {
        let (namespace, identity) = (self.namespace.clone(), self.identity.clone());
        let worker_heartbeat = request.worker_heartbeat.map(|beat| self.completed(beat));
        let request = api::ShutdownWorkerRequest { namespace, identity, worker_heartbeat, ..request };
        self.ask(&api::SHUTDOWN_WORKER, &request, effort).await.map(|_| ())
    }

    /// Reports a worker, so that it is listed.
    pub async fn record_worker_heartbeat(
        &self,
        beat: WorkerHeartbeat,
        effort: Effort<'_>,
    ) -> Result<(), RpcError> {
        let request = api::RecordWorkerHeartbeatRequest {
            namespace: self.namespace.clone(),
            identity: self.identity.clone(),
            worker_heartbeat: vec![self.completed(beat)],
        };
        self.ask(&api::RECORD_WORKER_HEARTBEAT, &request, effort).await.map(|_| ())
    }

    /// Adds what is the same for all workers of the process.
    fn completed(&self, beat: WorkerHeartbeat) -> WorkerHeartbeat {
        WorkerHeartbeat {
            worker_identity: self.identity.clone(),
            host_info: Some(WorkerHostInfo {
                host_name: sys::host::name(),
                process_id: std::process::id().to_string(),
            }),
            sdk_name: CLIENT_NAME.to_owned(),
            sdk_version: CLIENT_VERSION.to_owned(),
            ..beat
        }
    }
}
