//! `work`: takes tasks from a task queue, and runs the command for each.
//!
//! | file | what it does |
//! |---|---|
//! | here | takes tasks from a worker of the library |
//! | `task` | runs one task |
//! | `shutdown` | stops polling, then the commands |

mod shutdown;
mod task;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread::{self, Scope},
    time::Duration,
};

use clap::Args;
use serde_json::json;
use temporal_heartbeat::{
    api::{
        activity::OpenOptions,
        rpc,
        worker::{self, Deployment, Task, WorkerOptions},
    },
    model::{
        deadline::Timeout,
        error::{Error, Result},
        status::Status,
    },
};

use crate::{
    child::guardian::Guardian,
    connection::Connection,
    console::{self, Tone},
    error::local_error,
    exit_code,
    run::{args::RunArgs, attempt::PrefixWhen, library_log, program},
};
use shutdown::RunningCommands;

/// Take activities from a task queue, and run a command for each
///
/// Runs as a worker, with the command as its activity. Each attempt runs the command once, as `exec` does. The command gets the input on its standard
/// input and in the file TEMPORAL_ACTIVITY_INPUT_FILE: each argument on a line, as JSON; a single binary argument as its bytes. Its
/// environment has TEMPORAL_ACTIVITY_TYPE, _ID, _RUN_ID, _WORKFLOW_ID, _WORKFLOW_TYPE, _TASK_QUEUE, _ATTEMPT, _HEARTBEAT_TIMEOUT_MS,
/// _DEADLINE_MS, _INPUT_ENCODING, and the previous attempt's details: _DETAILS_JSON, _DETAILS_FILE.
///
/// The first SIGTERM or SIGINT shuts the worker down. It takes no more tasks. After --shutdown-grace it stops the commands, and their
/// attempts are retried by other workers. Polls that are in progress end soon if the server supports that. Otherwise it waits for them up to
/// 20 s, because abandoning them could lose a task. The second signal stops the commands at once.
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
    /// Run the command for this type of activity only, and let other workers retry other types; can be given several times [default: all]
    #[arg(long, value_name = "NAME", help_heading = "Tasks")]
    activity_type: Vec<String>,
    /// The most commands that run at once
    #[arg(long, short = 'c', value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Tasks")]
    concurrency: u16,
    /// Whether to write the activity's id before each line that a command prints
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, help_heading = "Tasks")]
    prefix: PrefixWhen,
    /// Exit after this number of tasks [default: no limit]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Tasks")]
    max_tasks: Option<u64>,
    /// The worker deployment to take tasks for [default: tasks without a version]
    #[arg(long, value_name = "NAME", requires = "build_id", help_heading = "Tasks")]
    deployment_name: Option<String>,
    /// The build id of this worker in the deployment
    #[arg(long, value_name = "ID", requires = "deployment_name", help_heading = "Tasks")]
    build_id: Option<String>,
    #[command(flatten)]
    run: RunArgs,
    /// How long commands may continue after the first signal before they are stopped
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration, help_heading = "Stopping")]
    shutdown_grace: Duration,
}

/// The state that the threads of `work` share.
struct Work {
    args: RunArgs,
    /// The handle of the library's worker.
    worker: u64,
    running: RunningCommands,
    guardian: Guardian,
    /// When to write a prefix before the lines of the commands; `None`: one command runs at a time.
    prefixes: Option<PrefixWhen>,
    /// Whether no value may be sent.
    requires_encoded: bool,
    /// The number of the next task.
    next_task: AtomicU64,
}

/// Runs `work`.
pub fn run(connection: &Connection, args: WorkArgs) -> Result<u8> {
    args.run.validate()?;
    if args.concurrency > 1 && args.run.result_file.is_some() {
        let why = "--result-file with --concurrency over 1: commands that run at once would write the same file; use --result";
        return Err(Error::argument(why));
    }
    console::set_quiet(args.run.quiet);
    // Otherwise each task would fail, and the server would retry it here at once.
    if let Err(why) = program::check(args.run.program()) {
        let code = exit_code::not_started(&why);
        console::error(&Error::config(program::not_run(args.run.program(), &why)), code);
        return Ok(code);
    }
    connection.connect()?;
    let log = library_log::show(&args.run);
    let requires_encoded = rpc::requires_encoded()?;
    if requires_encoded {
        args.run.check_encoded()?;
    }
    let guardian = Guardian::start()?;
    // Each task needs it, so a worker without it takes no task.
    guardian.directory()?;

    let mut activity = OpenOptions::new();
    args.run.set_cancellation_options(&mut activity, args.concurrency);
    let deployment = args.deployment_name.zip(args.build_id);
    let options = WorkerOptions {
        task_queue: args.task_queue,
        activity_types: args.activity_type,
        max_concurrent: args.concurrency.into(),
        max_per_second: None,
        max_tasks: args.max_tasks,
        deployment: deployment.map(|(name, build_id)| Deployment { name, build_id }),
        activity,
    };
    announce(&options)?;
    let work = &Work {
        args: args.run,
        worker: worker::open_with(options)?,
        running: RunningCommands::default(),
        guardian,
        prefixes: match args.prefix {
            PrefixWhen::Auto if args.concurrency == 1 => None,
            when => Some(when),
        },
        requires_encoded,
        next_task: AtomicU64::new(0),
    };
    thread::scope(|scope| -> Result<()> {
        let signals = shutdown::handle_signals(scope, work, args.shutdown_grace)
            .map_err(|why| local_error("handle signals", &why))?;
        let taken = thread::scope(|tasks| take_tasks(tasks, work));
        signals.close();
        taken
    })?;
    log.finish();
    Ok(0)
}

/// Says where the worker takes its tasks from.
fn announce(options: &WorkerOptions) -> Result<()> {
    if console::is_quiet() {
        return Ok(());
    }
    let (address, namespace) = rpc::connected_to()?;
    let queue = &options.task_queue;
    let types = match options.activity_types.as_slice() {
        [] => String::new(),
        types => format!(" of type {}", types.join(" or ")),
    };
    let concurrency = options.max_concurrent;
    let at_once = if concurrency == 1 { String::new() } else { format!(", at most {concurrency} at once") };
    let text = format!(
        "waiting for tasks{types} on the task queue {queue} (namespace {namespace}, server {address}){at_once}"
    );
    let value = json!({
        "event": "waiting",
        "task_queue": queue,
        "namespace": namespace,
        "address": address,
        "concurrency": concurrency,
    });
    console::event(Tone::Info, &text, &value);
    Ok(())
}

/// Takes tasks until the worker has been shut down, and runs each in a thread.
fn take_tasks<'scope>(scope: &'scope Scope<'scope, '_>, work: &'scope Work) -> Result<()> {
    loop {
        match worker::next(work.worker, Timeout::Forever) {
            Ok(Some(task)) => {
                let number = work.next_task.fetch_add(1, Ordering::Relaxed);
                start(scope, work, task, number);
            }
            Ok(None) => {}
            Err(error) if matches!(error.status(), Status::Ended | Status::InvalidHandle) => return Ok(()),
            // The command line is wrong. Later the server or a permission has changed, and polling is retried.
            Err(error) if !worker::has_polled(work.worker).unwrap_or(true) => return Err(error),
            // The library has logged it.
            Err(_) => {}
        }
    }
}

fn start<'scope>(scope: &'scope Scope<'scope, '_>, work: &'scope Work, task: Box<Task>, number: u64) {
    let handle = task.activity;
    let run = move || task::run(work, &task, number);
    if let Err(why) = thread::Builder::new().name("task".into()).spawn_scoped(scope, run) {
        // Another worker may succeed.
        task::give_up(handle, &local_error("start a thread", &why));
    }
}
