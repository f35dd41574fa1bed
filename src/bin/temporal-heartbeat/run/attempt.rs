//! One attempt, from the start of the command to the report of its outcome.

use std::{
    env,
    io::{self, IsTerminal},
    os::fd::OwnedFd,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::AtomicU64,
        mpsc::{Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use nix::{sys::signal::Signal, unistd::Pid};
use temporal_heartbeat::{
    api::activity,
    model::{deadline::Timeout, signals::Signals},
};

use super::{
    args::{RunArgs, StallBy, Stream},
    outcome::Outcome,
    reporter::{Ended, Reporter},
    supervisor::{Event, Supervisor},
    watchdog::Watchdog,
};
use crate::{
    child::{
        guardian::Guardian,
        process_group::{self, ProcessGroup},
    },
    console::{self, Destination},
    exit_code,
    output::{
        capture::{Capture, Tail},
        progress::{LineParser, Progress},
        pty,
        tee::{Observers, Tee},
    },
    regular_file,
};

/// How long to wait, after the command has exited, until the rest of its output is written. The reader of this program's output may be slow.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to write the rest of each output stream if this process must exit.
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// Makes Python write each line at once. A value that the user has set stays.
const PYTHONUNBUFFERED: &str = "PYTHONUNBUFFERED";

/// An attempt to run.
pub struct Attempt<'a> {
    /// The activity.
    pub reporter: Reporter<'a>,
    /// The activity's signals so far.
    pub signals: Signals,
    /// The command, with its environment and standard input.
    pub command: Command,
    /// The guardian of the command.
    pub guardian: &'a Guardian,
    /// Whether to show a status line.
    pub has_status_line: bool,
    /// What to write before each line of the command's output.
    pub prefix: Option<Prefix>,
}

/// A prefix of the lines of a command's output.
pub struct Prefix {
    /// The activity's name.
    pub name: String,
    /// The number of the task, which chooses the colour.
    pub number: u64,
    /// When to write the prefix.
    pub when: PrefixWhen,
}

impl Prefix {
    fn applies_to(&self, stream: Stream) -> bool {
        match (self.when, stream) {
            (PrefixWhen::Always, _) => true,
            (PrefixWhen::Auto, Stream::Stdout) => io::stdout().is_terminal(),
            (PrefixWhen::Auto, Stream::Stderr) => io::stderr().is_terminal(),
            (PrefixWhen::Never, _) => false,
        }
    }
}

/// When to write the prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PrefixWhen {
    /// To a terminal, if --concurrency is over 1
    #[default]
    Auto,
    /// To files and pipes too
    Always,
    /// Never
    Never,
}

/// Runs the command and reports the outcome. Returns the exit code of this program for it. `events` receives from `sender`, to which other
/// threads may send too; `events` is dropped when the command has exited, before the report.
pub fn run(mut attempt: Attempt<'_>, sender: Sender<Event>, events: Receiver<Event>) -> u8 {
    let started = Instant::now();
    let mut ended = run_command(&mut attempt, sender, &events)
        .unwrap_or_else(|why| Ended::not_started(attempt.reporter.args, &why));
    // A SIGTERM that came after the command had exited limits the time of the report.
    ended.must_exit |= events.try_iter().any(|event| matches!(event, Event::ProcessSignal(Signal::SIGTERM)));
    drop(events);
    attempt.reporter.report(ended, started.elapsed())
}

fn run_command(
    attempt: &mut Attempt<'_>,
    sender: Sender<Event>,
    events: &Receiver<Event>,
) -> io::Result<Ended> {
    let Reporter { args, handle, .. } = attempt.reporter;
    let progress = Arc::new(Progress::new(handle));
    let pipes = Pipes::new(args, attempt.prefix.as_ref());
    let stdio = |is_piped| if is_piped { Stdio::piped() } else { Stdio::inherit() };
    let command = &mut attempt.command;
    command.stdout(stdio(pipes.stdout)).stderr(stdio(pipes.stderr));
    let terminal = if args.pty {
        let (reader, writer) = pty::open()?;
        command.stdout(writer);
        Some(reader)
    } else {
        None
    };
    if args.reads_lines() && env::var_os(PYTHONUNBUFFERED).is_none() {
        command.env(PYTHONUNBUFFERED, "1");
    }
    let result_before = args.result_file.as_deref().and_then(regular_file::version);
    let mut group = ProcessGroup::start(command, attempt.guardian)?;
    // Closes this process's copy of the command's end of the terminal.
    command.stdout(Stdio::null());

    let (exited, running) = io::pipe()?;
    let chunks = Arc::new(AtomicU64::new(0));
    let observers = |stream| Observers {
        progress: pipes
            .parser
            .clone()
            .filter(|_| stream == args.progress_from)
            .map(|parser| (parser, progress.clone())),
        capture: (stream == Stream::Stdout && args.captures_output()).then(Capture::default),
        tail: (stream == Stream::Stderr).then(|| Tail::new(args.stderr_lines)),
        chunks: chunks.clone(),
    };
    let prefix = attempt.prefix.as_ref();
    let start_tee = |pipe: OwnedFd, to: io::Result<Destination>, stream| {
        let to = match prefix.filter(|prefix| prefix.applies_to(stream)) {
            Some(prefix) => to?.with_prefix(&prefix.name, prefix.number),
            None => to?,
        };
        Tee::start(pipe, to, observers(stream), exited.try_clone()?)
    };
    let leader = group.leader();
    let stdout = terminal.or(leader.stdout.take().map(OwnedFd::from));
    let stderr = leader.stderr.take().map(OwnedFd::from);
    let stdout = stdout.map(|pipe| start_tee(pipe, Destination::stdout(), Stream::Stdout)).transpose()?;
    let stderr = stderr.map(|pipe| start_tee(pipe, Destination::stderr(), Stream::Stderr)).transpose()?;

    send_events(sender, handle, attempt.signals, group.id())?;
    let watchdog = Watchdog::new(args, &group, &progress, chunks.clone());
    let title = &attempt.reporter.title;
    let supervisor = Supervisor::new(args, &group, &progress, watchdog, title, attempt.has_status_line);
    let mut end = supervisor.run(attempt.signals, events);
    let exit = group.reap()?;

    drop(running);
    let output_timeout = if end.must_exit { LAST_OUTPUT_TIMEOUT } else { OUTPUT_TIMEOUT };
    let finish = |tee: Option<Tee>| tee.map(|tee| tee.finish(output_timeout));
    let (stdout, stderr) = (finish(stdout), finish(stderr));
    if matches!(stdout, Some(None)) || matches!(stderr, Some(None)) {
        console::warning(
            "the reader of this program's output is too slow: the copy of the command's output may be incomplete",
        );
    }
    progress.warn_if_none(args.no_progress_warning(true).as_deref());
    let captured = stdout.flatten().and_then(|observers| observers.capture).map(Capture::finish);
    let stderr = stderr.flatten().and_then(|observers| observers.tail).map(Tail::finish).unwrap_or_default();
    let stderr = attempt.reporter.readable(&stderr);
    let must_exit = end.must_exit;
    let stall = end.stall.take();
    let mut outcome = Outcome::of_command(args, exit, end, captured, result_before, stderr);
    if let Some(report) = stall {
        // Fails only if the process is disconnected. Then nothing can be sent.
        outcome.add_stall(report, activity::may_send_texts(handle).unwrap_or(false));
    }
    Ok(Ended { exit: Some(exit), exit_code: exit_code::of_command(exit), outcome, must_exit })
}

/// Which streams go through this process. The command inherits the other ones, so that they cost nothing and a terminal stays a terminal.
struct Pipes {
    parser: Option<LineParser>,
    stdout: bool,
    stderr: bool,
}

impl Pipes {
    fn new(args: &RunArgs, prefix: Option<&Prefix>) -> Self {
        let parser = args.line_parser();
        let is_watched = args.stall_timeout.is_some() && args.stall_by() == StallBy::Output;
        let is_parsed = |stream| parser.is_some() && args.progress_from == stream;
        // With a status line, all output to the terminal must go through this process.
        let has_status_line = console::can_show_status_line();
        let has_prefix = |stream| prefix.is_some_and(|prefix| prefix.applies_to(stream));
        Pipes {
            stdout: is_watched
                || has_prefix(Stream::Stdout)
                || args.captures_output()
                || is_parsed(Stream::Stdout)
                || (has_status_line && io::stdout().is_terminal()),
            stderr: is_watched
                || has_prefix(Stream::Stderr)
                || args.stderr_lines > 0
                || is_parsed(Stream::Stderr)
                || has_status_line,
            parser,
        }
    }
}

/// Starts a thread that waits for the command's exit, and one that waits for changes of the activity's signals.
fn send_events(sender: Sender<Event>, handle: u64, mut signals: Signals, command: Pid) -> io::Result<()> {
    let exit_sender = sender.clone();
    thread::Builder::new().name("exit".into()).spawn(move || {
        process_group::wait_for_exit(command);
        // Fails only if the receiver was dropped, as below.
        let _ = exit_sender.send(Event::Exited);
    })?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mask = Signals::from_bits(u32::MAX);
        // Fails when the handle is closed.
        while let Ok(changed) = activity::wait(handle, mask, signals, Timeout::Forever) {
            signals = changed;
            if sender.send(Event::ActivitySignals(signals)).is_err() {
                break;
            }
        }
    })?;
    Ok(())
}
