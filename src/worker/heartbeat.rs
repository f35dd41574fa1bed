//! Reports a worker to the server, so that `temporal worker list` shows it, and ends it there.

use std::{
    sync::atomic::{AtomicI32, Ordering},
    time::{Duration, SystemTime},
};

use super::Worker;
use crate::{
    client::Effort,
    model::{deadline::Deadline, status::Status},
    proto::temporal::api::{
        deployment::v1::WorkerDeploymentVersion,
        enums::v1::{TaskQueueType, WorkerStatus},
        worker::v1::{WorkerHeartbeat, WorkerPollerInfo, WorkerSlotsInfo},
        workflowservice::v1::ShutdownWorkerRequest,
    },
};

/// The time between two heartbeats of a worker. The SDKs use the same.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long to try one report.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of slots is a constant. The server shows this word.
const SLOT_SUPPLIER: &str = "Fixed";

/// What a worker counts for its heartbeats.
pub struct Counts {
    pub(super) tasks: AtomicI32,
    reported_tasks: AtomicI32,
    started: SystemTime,
}

impl Default for Counts {
    fn default() -> Self {
        Counts { tasks: AtomicI32::new(0), reported_tasks: AtomicI32::new(0), started: SystemTime::now() }
    }
}

impl Worker {
    /// Reports the worker periodically until it stops.
    pub(super) async fn report_until_stopped(&self) {
        let mut is_allowed = true;
        loop {
            if is_allowed && self.client.capabilities().stores_worker_heartbeats() {
                is_allowed = self.unless_stopped(self.report()).await.unwrap_or(true);
            }
            if self.unless_stopped(tokio::time::sleep(INTERVAL)).await.is_none() {
                return;
            }
        }
    }

    /// Returns whether the server accepts heartbeats of workers.
    async fn report(&self) -> bool {
        let deadline = Deadline::within(REPORT_TIMEOUT);
        let beat = self.heartbeat(WorkerStatus::Running);
        let recorded = self.client.record_worker_heartbeat(beat, Effort::Until(&deadline)).await;
        let refused = [Status::PermissionDenied, Status::Unauthenticated, Status::Unimplemented];
        recorded.err().is_none_or(|failed| !refused.contains(&failed.error.status()))
    }

    /// Makes the server complete the outstanding polls, if it can. Returns whether the worker has ended for the server.
    pub(super) async fn release_polls(&self) -> bool {
        let releases = self.client.capabilities().releases_polls();
        if releases {
            self.report_end().await;
        }
        releases
    }

    /// Ends the worker for the server, which gives it no more tasks.
    pub(super) async fn report_end(&self) {
        let request = ShutdownWorkerRequest {
            worker_instance_key: self.key.clone(),
            task_queue: self.options.task_queue.clone(),
            task_queue_types: vec![TaskQueueType::Activity.into()],
            reason: "shutdown".to_owned(),
            worker_heartbeat: Some(self.heartbeat(WorkerStatus::Shutdown)),
            ..ShutdownWorkerRequest::default()
        };
        let deadline = Deadline::within(REPORT_TIMEOUT);
        // Without it the server sees the worker for a few more minutes, and the polls end by themselves.
        let _ = self.client.shut_worker_down(request, Effort::Until(&deadline)).await;
    }

    fn heartbeat(&self, status: WorkerStatus) -> WorkerHeartbeat {
        let tasks = self.counts.tasks.load(Ordering::Relaxed);
        let before = self.counts.reported_tasks.swap(tasks, Ordering::Relaxed);
        let (available, all) = (self.slots.available_permits(), self.options.max_concurrent);
        let polling = self.polling.lock();
        WorkerHeartbeat {
            worker_instance_key: self.key.clone(),
            task_queue: self.options.task_queue.clone(),
            deployment_version: self.options.deployment.as_ref().map(|deployment| WorkerDeploymentVersion {
                build_id: deployment.build_id.clone(),
                deployment_name: deployment.name.clone(),
            }),
            status: status.into(),
            start_time: Some(self.counts.started.into()),
            heartbeat_time: Some(SystemTime::now().into()),
            activity_task_slots_info: Some(WorkerSlotsInfo {
                current_available_slots: count(available),
                current_used_slots: count(all.saturating_sub(available)),
                slot_supplier_kind: SLOT_SUPPLIER.to_owned(),
                total_processed_tasks: tasks,
                last_interval_processed_tasks: tasks.wrapping_sub(before),
            }),
            activity_poller_info: Some(WorkerPollerInfo {
                current_pollers: count(polling.polls),
                last_successful_poll_time: polling.last_success.map(Into::into),
                is_autoscaling: true,
            }),
            ..WorkerHeartbeat::default()
        }
    }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
