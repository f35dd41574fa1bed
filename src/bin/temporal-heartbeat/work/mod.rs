//! `work`: attempts taken from a task queue, each of them a run of the command.
//!
//! | file | what it does |
//! |---|---|
//! | `slots` | how many may run at once, and how many more are to be taken |
//! | `poller` | takes tasks: a slot first, then a poll; backs off |
//! | `task` | one task, from its input to the command's end |
//! | `shutdown` | the end: no more tasks, then no more commands |

mod poller;
mod shutdown;
mod slots;
mod task;

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64},
    },
    thread,
    time::Duration,
};

use clap::Args;
use temporal_heartbeat::{
    api::task_queue::{Deployment, Queue},
    model::{
        error::{Error, Result},
        status::Status,
    },
};

use crate::{
    child::guardian::Guardian,
    connection::Connection,
    exec::{local, private_directory},
    run::args::RunArgs,
};
use shutdown::Shutdown;
use slots::Slots;

/// The most polls that are under way at once; the SDKs' figure.
const MAX_POLLERS: usize = 5;

/// Take activities from a task queue, and run a command for each
///
/// A worker in which the command is the activity. Each attempt is a run of the command, as with `exec`. It finds the input on its
/// standard input and in the file TEMPORAL_ACTIVITY_INPUT_FILE: each argument on a line, as JSON; a sole argument of bytes as it is. In its
/// environment: TEMPORAL_ACTIVITY_TYPE, _ID, _RUN_ID, _WORKFLOW_ID, _WORKFLOW_TYPE, _TASK_QUEUE, _ATTEMPT, _HEARTBEAT_TIMEOUT_MS,
/// _DEADLINE_MS, _INPUT_ENCODING, and the details of the attempt before: _DETAILS_JSON, _DETAILS_FILE.
///
/// The first SIGTERM or SIGINT ends it: no more tasks are taken; commands are stopped after --shutdown-grace, and their attempts
/// retried elsewhere. The polls that are under way are waited for, up to 20 s: a task could be lost with them. The second stops the
/// commands at once.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  temporal-heartbeat work --task-queue reports --result json -- ./report.sh
  temporal activity start --activity-id r1 --type report --task-queue reports \\
      --start-to-close-timeout 1h --heartbeat-timeout 30s --input '{\"month\": 7}'

  temporal-heartbeat work --task-queue gpu --concurrency 4 --progress-json -- python3 train.py
")]
pub struct WorkArgs {
    /// The task queue to take activities from
    #[arg(long, short = 't', value_name = "NAME", help_heading = "Tasks")]
    task_queue: String,
    /// Run the command for this type of activity only, and have others retried elsewhere; can be given several times [default: every type]
    #[arg(long, value_name = "NAME", help_heading = "Tasks")]
    activity_type: Vec<String>,
    /// How many commands may run at once
    #[arg(long, short = 'c', value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Tasks")]
    concurrency: u16,
    /// End after so many tasks
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Tasks")]
    max_tasks: Option<u64>,
    /// Take the tasks of this worker deployment [default: those without a version]
    #[arg(long, value_name = "NAME", requires = "build_id", help_heading = "Tasks")]
    deployment_name: Option<String>,
    /// The build of the deployment that this worker is
    #[arg(long, value_name = "ID", requires = "deployment_name", help_heading = "Tasks")]
    build_id: Option<String>,
    /// How long commands may go on at the end before they are stopped
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration, help_heading = "Stopping")]
    shutdown_grace: Duration,
    #[command(flatten)]
    settings: RunArgs,
}

/// What the threads of a worker share.
struct Worker {
    settings: RunArgs,
    queue: Queue,
    types: Vec<String>,
    slots: Slots,
    shutdown: Shutdown,
    guardian: Guardian,
    directory: tempfile::TempDir,
    /// Numbers the tasks.
    tasks: AtomicU64,
    /// Whether a poll has been answered: before that a refusal means that the command line is wrong.
    polled: AtomicBool,
    /// Why it can't go on.
    fault: Mutex<Option<Error>>,
}

/// `work`
pub fn run(connection: &Connection, args: WorkArgs) -> Result<u8> {
    if let Some(fault) = args.settings.fault() {
        return Err(Error::new(Status::InvalidArgument, fault));
    }
    let directory = private_directory()?;
    let guardian = Guardian::start(directory.path())?;
    connection.connect()?;

    let deployment = args.deployment_name.zip(args.build_id);
    let worker = Worker {
        settings: args.settings,
        queue: Queue {
            name: args.task_queue,
            deployment: deployment.map(|(name, build_id)| Deployment { name, build_id }),
        },
        types: args.activity_type,
        slots: Slots::new(args.concurrency.into(), args.max_tasks),
        shutdown: Shutdown::default(),
        guardian,
        directory,
        tasks: AtomicU64::new(0),
        polled: AtomicBool::new(false),
        fault: Mutex::new(None),
    };
    let worker = &worker;
    thread::scope(|scope| -> Result<()> {
        let signals = shutdown::on_signals(scope, worker, args.shutdown_grace)
            .map_err(|why| local("take signals", &why))?;
        thread::scope(|scope| {
            for _ in 0..MAX_POLLERS.min(args.concurrency.into()) {
                let poller = thread::Builder::new().name("poller".into());
                if let Err(why) = poller.spawn_scoped(scope, move || poller::run(scope, worker)) {
                    worker.fail(local("start a thread", &why));
                }
            }
        });
        signals.close();
        Ok(())
    })?;
    let fault = worker.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
    fault.map_or(Ok(0), Err)
}

impl Worker {
    /// Ends the worker for a fault that stays.
    fn fail(&self, error: Error) {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.slots.close();
    }
}
