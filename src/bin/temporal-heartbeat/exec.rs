//! `exec`: runs a command for one attempt that a parent has handed over.

use std::{
    io::{self, IsTerminal},
    os::unix::process::CommandExt,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{self, Sender},
    thread,
    time::Duration,
};

use clap::{Args, ValueEnum};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use signal_hook::low_level;
use temporal_heartbeat::{
    api::{
        activity::{self, OpenOptions},
        rpc,
    },
    config::handoff,
    model::{
        attempt::Ids, deadline::Timeout, details::Details, error::Result, signals::Signals, token::Token,
    },
};

use crate::{
    child::{adopted, guardian::Guardian},
    connection::Connection,
    console,
    error::local_error,
    exit_code,
    run::{
        args::{RunArgs, StopOrIgnore},
        attempt::{self, Attempt},
        environment, library_log,
        outcome::Outcome,
        program,
        reason::Reason,
        reporter::{Ended, LAST_REPORT_TIMEOUT, Reporter},
        supervisor::Event,
    },
    signals,
    token::{self, TokenArgs},
};

/// The signals that are forwarded to the command.
const FORWARDED: [Signal; 8] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTSTP,
    Signal::SIGCONT,
];

/// Run a command for an activity that was handed over
///
/// Takes the task token from the activity's worker. Sends heartbeats while the command runs, even if the command hangs. Passes the
/// previous attempt's details to the command in TEMPORAL_ACTIVITY_DETAILS_JSON and in the file TEMPORAL_ACTIVITY_DETAILS_FILE. Completes
/// the activity if the command succeeds, fails the attempt if it doesn't, and exits with its code. The command never outlives this
/// program: its process group is killed even if this program is killed by SIGKILL. Signals are forwarded to the command. If the command
/// doesn't end within --grace after SIGTERM, it is killed and the attempt fails.
#[derive(Args, Debug)]
#[command(after_long_help = help())]
pub struct ExecArgs {
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    ids: IdArgs,
    /// What to do if neither a flag nor the environment has an activity: fail, or only run the command, without a server
    #[arg(long, value_name = "WHAT", value_enum, default_value_t, help_heading = token::HEADING)]
    when_absent: WhenAbsent,
    /// The activity's heartbeat timeout, if neither the environment nor the server returns it
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, help_heading = token::HEADING)]
    heartbeat_timeout: Option<Duration>,
    #[command(flatten)]
    run: RunArgs,
}

fn help() -> String {
    format!("{EXAMPLES}\n{}", exit_code::EXEC_HELP)
}

const EXAMPLES: &str = "\
Examples:
  temporal-heartbeat exec -- ./solver --input model.dat
  temporal-heartbeat exec --progress-pattern 'step (\\d+)' --stall-timeout 10m -- ./train.sh
  echo $TOKEN | temporal-heartbeat exec --token-stdin --result json -- ./report
  temporal-heartbeat exec --non-retryable-codes 2 --on-pause freeze -- bash job.sh
  temporal-heartbeat exec --when-absent run -- ./solver    # also runs by hand, without Temporal

A bash job that resumes where the previous attempt has stopped:
  for ((item = ${TEMPORAL_ACTIVITY_DETAILS_JSON:-0}; item < 1000; item++)); do
      work_on $item && echo $((item + 1))        # with --progress-json
  done
";

/// The action if there is no activity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum WhenAbsent {
    #[default]
    Error,
    Run,
}

/// The activity, if there is no token.
#[derive(Args, Debug)]
struct IdArgs {
    /// The activity's id
    #[arg(long, value_name = "ID", conflicts_with = "TokenArgs", help_heading = token::ID_HEADING)]
    activity_id: Option<String>,
    /// The id of its workflow; a standalone activity has none
    #[arg(long, value_name = "ID", requires = "activity_id", help_heading = token::ID_HEADING)]
    workflow_id: Option<String>,
    /// The workflow's run, or the standalone activity's [default: the current one]
    #[arg(long, value_name = "ID", requires = "activity_id", help_heading = token::ID_HEADING)]
    run_id: Option<String>,
    /// The number of the attempt; the command is run for no other one [default: the current one]
    #[arg(long, value_name = "NUMBER", requires = "activity_id", help_heading = token::ID_HEADING)]
    attempt: Option<u16>,
}

impl ExecArgs {
    /// Whether there is no activity, and the command runs nevertheless.
    fn runs_alone(&self) -> Result<bool> {
        let is_given = self.token.is_given() || self.ids.activity_id.is_some();
        Ok(self.when_absent == WhenAbsent::Run && !is_given && handoff::is_absent()?)
    }

    /// Returns the options to open the activity.
    fn open_options(&self) -> Result<OpenOptions> {
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
            None => {
                let options = OpenOptions::handed_over()?;
                // The token is optional if the environment has the activity's id.
                let needs_token = self.token.is_given() || options.ids.is_none() || handoff::has_token();
                OpenOptions { token: needs_token.then(|| self.token.read()).transpose()?, ..options }
            }
        };
        self.run.set_cancellation_options(&mut options, 1);
        if let Some(timeout) = self.heartbeat_timeout {
            options.heartbeat_timeout = timeout;
        }
        Ok(options)
    }
}

/// Runs `exec`.
pub fn run(connection: &Connection, args: ExecArgs) -> Result<u8> {
    args.run.validate()?;
    console::set_quiet(args.run.quiet);
    if args.runs_alone()? {
        // A variable that is wrong is an error here too.
        OpenOptions::handed_over()?;
        return Ok(run_alone(&args.run));
    }
    let options = args.open_options()?;
    let token = options.token.as_ref().and_then(|token| Token::read(token));
    let ids = token.as_ref().map(|token| token.ids.clone()).or(options.ids.clone());
    connection.connect()?;
    let _ = library_log::show(&args.run);

    let timeout = Timeout::Within(rpc::DEFAULT_TIMEOUT);
    let opened = activity::open_with(&[], options).and_then(|handle| {
        let details = activity::details(handle, timeout)?.wait()?;
        // The first heartbeat shows whether the token is still valid before the command repeats any work.
        Ok((handle, details, activity::beat(handle, timeout)?.wait()?))
    });
    let (handle, details, signals) =
        opened.map_err(|error| error.with_context("the command wasn't started, and nothing was reported"))?;
    let ExecArgs { run: args, token: token_source, .. } = args;
    if signals.contains(Signals::CANCEL_REQUESTED) && args.on_cancel == StopOrIgnore::Stop {
        let reason = Reason::of_cancellation(handle);
        let text = format!(
            "reported as cancelled: cancellation was requested before the command was started{}",
            reason.suffix()
        );
        let mut outcome = Outcome::Cancelled(reason);
        if activity::requires_encoded(handle)? {
            outcome.remove_details();
        }
        outcome.report(handle, args.end_timeout)?;
        console::notice(&text);
        return Ok(exit_code::CANCEL_REQUESTED);
    }

    let number = token.map_or(details.about().attempt, |token| token.attempt.number);
    let reporter = Reporter {
        args: &args,
        handle,
        title: format!("{}, attempt {number}", args.name()),
        title_in_json: format!("{}, attempt {number}", args.name()),
        requires_encoded: activity::requires_encoded(handle)?,
    };
    let mut command = args.command();
    environment::set_attempt(&mut command, number, ids.as_ref());
    if io::stdin().is_terminal() {
        // A process group in the background can't read from a terminal.
        command.stdin(Stdio::null());
    }
    token_source.hide_from(&mut command);
    let (sender, events) = mpsc::channel();
    match prepare(&reporter, &mut command, &details, sender.clone()) {
        Ok(guardian) => {
            let has_status_line = console::enable_status_line();
            let attempt =
                Attempt { reporter, signals, command, guardian: &guardian, has_status_line, prefix: None };
            Ok(attempt::run(attempt, sender, events))
        }
        Err(error) => Ok(reporter.report(Ended::refused(&error), Duration::ZERO)),
    }
}

/// Runs the command without an activity: the command replaces this process.
fn run_alone(args: &RunArgs) -> u8 {
    console::notice(&format!(
        "{}: there is no activity in the environment, so the command runs without heartbeats (--when-absent run)",
        args.name()
    ));
    let exit = match adopted::is_adopter() {
        true => run_as_child(args),
        false => Err(args.command().exec()),
    };
    match exit {
        Ok(exit) => exit_code::of_command(exit),
        Err(why) => {
            console::warning(&program::not_run(args.program(), &why));
            exit_code::not_started(&why)
        }
    }
}

/// Runs the command as a child, with the signals of this process, which reaps adopted processes. As the first process of a container, the
/// command would ignore the signals that it doesn't handle.
fn run_as_child(args: &RunArgs) -> io::Result<ExitStatus> {
    let (sender, events) = mpsc::channel();
    forward_signals(sender)?;
    let mut child = args.command().spawn()?;
    let id = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    thread::Builder::new().name("forward".into()).spawn(move || {
        for event in events {
            if let Event::ProcessSignal(signal) = event {
                // Fails only if the command has ended.
                let _ = kill(id, signal);
            }
        }
    })?;
    child.wait()
}

/// Does everything that the command needs and that can fail on this machine.
fn prepare(
    reporter: &Reporter<'_>,
    command: &mut Command,
    details: &Details,
    sender: Sender<Event>,
) -> Result<Guardian> {
    if reporter.requires_encoded {
        reporter.args.check_encoded()?;
    }
    let guardian = Guardian::start()?;
    environment::set_details(command, details, || guardian.directory())?;
    forward_signals(sender).map_err(|why| local_error("handle signals", &why))?;
    Ok(guardian)
}

/// Sends signals as events while the command runs. After that they have their default effect on this process. The first SIGTERM
/// has it after a delay, so that the report can finish. This process and the command ignore a signal that the parent ignores.
fn forward_signals(sender: Sender<Event>) -> io::Result<()> {
    let mut signals = signals::catch(&FORWARDED)?;
    thread::Builder::new().name("signal".into()).spawn(move || {
        let mut is_terminated = false;
        for number in signals.forever() {
            let Ok(signal) = Signal::try_from(number) else { continue };
            if sender.send(Event::ProcessSignal(signal)).is_ok() {
                continue;
            }
            // Fails only for a signal without a default effect.
            let end = move || drop(low_level::emulate_default_handler(number));
            let is_first = signal == Signal::SIGTERM && !std::mem::replace(&mut is_terminated, true);
            if !is_first || signals::spawn_after(LAST_REPORT_TIMEOUT, end).is_err() {
                end();
            }
        }
    })?;
    Ok(())
}
