//! `exec`: one attempt, handed over by a parent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::Duration,
};

use clap::Args;
use nix::sys::signal::Signal;
use signal_hook::{iterator, low_level};
use temporal_heartbeat::{
    api::{
        activity::{self, OpenOptions},
        rpc,
    },
    config::handoff,
    model::{
        attempt::Ids,
        deadline::Timeout,
        error::{Error, Result},
        signals::Signals,
        status::Status,
        token::Token,
    },
};

use crate::{
    child::{guardian::Guardian, process_group},
    connection::Connection,
    console, exit_code,
    output::screen::SCREEN,
    run::{
        args::{OnCancel, RunArgs},
        attempt::{self, Attempt, Input},
        environment::Variables,
        outcome::Outcome,
        supervisor::Event,
    },
    token::TokenArgs,
};

/// The signals that are passed on to the command.
const PASSED_ON: [Signal; 8] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTSTP,
    Signal::SIGCONT,
];

/// Run a command as the work of an activity that was handed over
///
/// Takes the task token that the activity's worker has handed over. Beats while the command runs, whatever the command does. Hands the
/// details of the attempt before to it: in TEMPORAL_ACTIVITY_DETAILS_JSON, and in the file TEMPORAL_ACTIVITY_DETAILS_FILE. Completes
/// the activity when the command ends well, fails the attempt when it doesn't, and exits with its code. The command never outlives
/// this program: its process group is killed even when this program is killed by SIGKILL. Signals are passed on to it.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  temporal-heartbeat exec -- ./solver --input model.dat
  temporal-heartbeat exec --progress-pattern 'step (\\d+)' --stall-timeout 10m -- ./train.sh
  echo $TOKEN | temporal-heartbeat exec --token-stdin --result json -- ./report
  temporal-heartbeat exec --non-retryable-codes 2 --on-pause freeze -- bash job.sh

A bash job that goes on where the attempt before has stopped:
  for ((item = ${TEMPORAL_ACTIVITY_DETAILS_JSON:-0}; item < 1000; item++)); do
      work_on $item && echo $((item + 1))        # with --progress-json
  done

Exits with the command's own code, or with:
   10  cancelled before the command was started
   64  the command line is wrong
   66  no task token, or one that can't be read; or another fault of the configuration
   69  the server can't be reached
   76  the activity is over for this token: the command wasn't started, or was stopped, and nothing was reported
  126  the command can't be run
  127  there is no such command
128+n  signal n ended the command
`temporal-heartbeat --help` has the others.
")]
pub struct ExecArgs {
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    ids: IdArgs,
    /// The activity's heartbeat timeout, where neither the environment nor the server tells it
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, help_heading = "Task token")]
    heartbeat_timeout: Option<Duration>,
    #[command(flatten)]
    settings: RunArgs,
}

/// An activity by its ids, for who has no token.
#[derive(Args, Debug)]
#[command(next_help_heading = "Activity by its ids, without a token")]
struct IdArgs {
    /// The activity's id
    #[arg(long, value_name = "ID", conflicts_with = "TokenArgs")]
    activity_id: Option<String>,
    /// The id of its workflow; a standalone activity has none
    #[arg(long, value_name = "ID", requires = "activity_id")]
    workflow_id: Option<String>,
    /// The workflow's run, or the standalone activity's [default: the current one]
    #[arg(long, value_name = "ID", requires = "activity_id")]
    run_id: Option<String>,
    /// The attempt to work for: nothing is done for another one [default: the one that runs]
    #[arg(long, value_name = "NUMBER", requires = "activity_id")]
    attempt: Option<u16>,
}

impl ExecArgs {
    /// How the activity is to be held: which one it is, and what is known of it.
    fn options(&self) -> Result<OpenOptions> {
        let mut options = match self.ids.activity_id.clone() {
            Some(activity_id) => OpenOptions {
                ids: Some(Ids {
                    activity_id,
                    workflow_id: self.ids.workflow_id.clone().unwrap_or_default(),
                    run_id: self.ids.run_id.clone().unwrap_or_default(),
                }),
                attempt: self.ids.attempt.unwrap_or_default().into(),
                ..OpenOptions::new()
            },
            None if self.token.is_given() => {
                OpenOptions { token: Some(self.token.read()?), ..OpenOptions::handed_over()? }
            }
            None => {
                let handed = OpenOptions::handed_over()?;
                // With the activity's id the token may be missing.
                let wanted = handed.ids.is_none() || handoff::has_token();
                OpenOptions { token: wanted.then(handoff::token_from_env).transpose()?, ..handed }
            }
        };
        options.cancel_poll = self.settings.cancel_poll;
        if let Some(timeout) = self.heartbeat_timeout {
            options.heartbeat_timeout = timeout;
        }
        Ok(options)
    }
}

/// `exec`
pub fn run(connection: &Connection, args: ExecArgs) -> Result<u8> {
    if let Some(fault) = args.settings.fault() {
        return Err(Error::new(Status::InvalidArgument, fault));
    }
    let options = args.options()?;
    if let Some(descriptor) = args.token.descriptor() {
        process_group::close_on_exec(descriptor);
    }
    let settings = args.settings;
    let read = options.token.as_ref().and_then(|token| Token::read(token));
    let ids = read.as_ref().map(|read| read.ids.clone()).or(options.ids.clone());
    let directory = private_directory()?;
    let guardian = Guardian::start(directory.path())?;
    connection.connect()?;

    let timeout = Timeout::Within(rpc::DEFAULT_TIMEOUT);
    let handle = activity::open_with(&[], options)?;
    let details = activity::details(handle, timeout)?;
    // The first beat tells whether the token is still good before anything is done twice, and what is asked for.
    let signals = activity::beat(handle, timeout)?;
    if signals.contains(Signals::CANCEL_REQUESTED) && settings.on_cancel == OnCancel::Stop {
        Outcome::Cancelled.report(handle, &settings)?;
        console::warning("the activity was cancelled before the command was started; reported as cancelled");
        return Ok(exit_code::CANCEL_REQUESTED);
    }

    let number = read.map_or(details.about().attempt, |read| read.attempt.number);
    let mut variables = Variables::new(number, ids.as_ref());
    let written = variables.hand_over(&details, directory.path());
    written.map_err(|why| local("write the details to a file", &why))?;

    let (sender, events) = mpsc::channel();
    let over = Arc::new(AtomicBool::new(false));
    pass_signals_on(sender.clone(), over.clone()).map_err(|why| local("take signals", &why))?;
    let attempt = Attempt {
        handle,
        signals,
        variables,
        input: Input::Inherited,
        title: format!("{}, attempt {number}", settings.name()),
        guardian: &guardian,
        shows: !settings.quiet && SCREEN.enable(),
        tells_all: false,
    };
    let code = attempt::run(&settings, attempt, sender, &events, || over.store(true, Ordering::Release));
    // Not before the end is reported: who tidies up must not make it wait.
    drop(directory);
    Ok(code)
}

/// A directory that only we can read.
pub fn private_directory() -> Result<tempfile::TempDir> {
    let made = tempfile::Builder::new().prefix("temporal-heartbeat-").tempdir();
    made.map_err(|why| local("make a directory for temporary files", &why))
}

/// An error of this machine.
pub fn local(what: &str, why: &std::io::Error) -> Error {
    Error::new(Status::LocalLimit, format!("can't {what}: {why}"))
}

/// Signals become events; when the command is over, they do to us what they do to others. One that was ignored when we were started
/// stays ignored, and so it is in the command.
fn pass_signals_on(sender: Sender<Event>, over: Arc<AtomicBool>) -> std::io::Result<()> {
    let wanted =
        PASSED_ON.iter().map(|signal| *signal as i32).filter(|signal| !process_group::is_ignored(*signal));
    let mut signals = iterator::Signals::new(wanted)?;
    thread::Builder::new().name("signal".into()).spawn(move || {
        for number in signals.forever() {
            if over.load(Ordering::Acquire) {
                // An error means that this signal does nothing by default.
                let _ = low_level::emulate_default_handler(number);
            } else if let Ok(signal) = Signal::try_from(number) {
                // Nobody listens any more when this fails.
                let _ = sender.send(Event::ProcessSignal(signal));
            }
        }
    })?;
    Ok(())
}
