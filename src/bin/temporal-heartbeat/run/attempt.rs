//! One attempt, from the command's start to the word on its end.

use std::{
    fs::File,
    io::{self, IsTerminal},
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::AtomicU64,
        mpsc::{Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use temporal_heartbeat::{
    api::activity,
    model::{deadline::Timeout, error::Error, signals::Signals, status::Status},
};

use super::{
    args::{RunArgs, Stream},
    environment::Variables,
    outcome::{self, Outcome},
    supervisor::{Event, Supervisor},
    watchdog::Watchdog,
};
use crate::{
    child::{
        guardian::Guardian,
        process_group::{self, Exit, ProcessGroup},
    },
    console, exit_code,
    output::{
        capture::{Capture, Tail},
        progress::{LineParser, Progress},
        screen::Target,
        tee::{Observers, Tee},
    },
};

/// How long the end of the output is waited for, when nobody takes it, before the end of the activity is reported without it.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(10);

/// An attempt, held open.
pub struct Attempt<'a> {
    /// The activity's handle.
    pub handle: u64,
    /// What is asked for already.
    pub signals: Signals,
    /// For the command.
    pub variables: Variables,
    /// The command's standard input.
    pub input: Input,
    /// How it is called in messages.
    pub title: String,
    /// Who kills the command when we are killed.
    pub guardian: &'a Guardian,
    /// Whether to show a line of progress.
    pub shows: bool,
    /// Whether to tell of success too.
    pub tells_all: bool,
}

/// A standard input.
pub enum Input {
    /// Ours; unless it is a terminal, which a process group in the background can't read.
    Inherited,
    /// A file.
    File(PathBuf),
}

/// Runs the command, and reports its end. The exit code that this program would have for it. `events` comes from `sender`, through
/// which others may tell of more; `ended` is called when the command has ended, and before that is reported.
pub fn run(
    settings: &RunArgs,
    attempt: Attempt<'_>,
    sender: Sender<Event>,
    events: &Receiver<Event>,
    ended: impl FnOnce(),
) -> u8 {
    let started = Instant::now();
    let handle = attempt.handle;
    let progress = Arc::new(Progress::new(handle));
    let (title, tells_all) = (attempt.title.clone(), attempt.tells_all);
    let (exit, ending) = match carry_out(settings, attempt, &progress, sender, events) {
        Ok((exit, ending)) => (Some(exit), ending),
        Err(why) => (None, (outcome::not_started(settings, &why), not_started_code(&why))),
    };
    let (ending, code) = ending;
    ended();
    let name = ending.name();
    let failure = if let Outcome::Failed(failure) = &ending { Some(failure.message.clone()) } else { None };
    let reported = ending.report(handle, settings);
    // It was ended, or can't be; what was recorded isn't waited for any more.
    let _ = activity::close(handle, Timeout::Zero);
    if reported.is_err() || !settings.quiet && (tells_all || name != "completed" || console::is_json()) {
        tell(&title, name, exit, failure.as_deref(), started.elapsed(), &reported);
    }
    match reported {
        Ok(()) if name == "gone" => exit_code::of(Status::NotFound),
        Ok(()) => code,
        Err(error) if error.status() == Status::InDoubt => code,
        Err(error) => exit_code::of(error.status()),
    }
}

fn not_started_code(why: &io::Error) -> u8 {
    if why.kind() == io::ErrorKind::NotFound { exit_code::NO_COMMAND } else { exit_code::NOT_EXECUTABLE }
}

fn code_of(exit: Exit) -> u8 {
    match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => exit_code::BY_SIGNAL.saturating_add(u8::try_from(signal).unwrap_or(0)),
    }
}

/// From the command's start to its end, and what is to be said of it.
fn carry_out(
    settings: &RunArgs,
    attempt: Attempt<'_>,
    progress: &Arc<Progress>,
    sender: Sender<Event>,
    events: &Receiver<Event>,
) -> io::Result<(Exit, (Outcome, u8))> {
    let pipes = Pipes::of(settings);
    let mut group = ProcessGroup::start(command(settings, &attempt, &pipes)?, attempt.guardian)?;

    let (over, still_running) = io::pipe()?;
    let chunks = Arc::new(AtomicU64::new(0));
    let leader = group.leader();
    let (stdout, stderr) = (leader.stdout.take(), leader.stderr.take());
    let observers = |stream| Observers {
        progress: pipes
            .reader
            .clone()
            .filter(|_| stream == settings.progress_from)
            .map(|reader| (reader, progress.clone())),
        capture: (stream == Stream::Stdout && settings.captures()).then(Capture::default),
        tail: (stream == Stream::Stderr).then(|| Tail::new(settings.stderr_lines)),
        chunks: chunks.clone(),
    };
    let stdout = stdout
        .map(|pipe| {
            Tee::start(OwnedFd::from(pipe), Target::stdout()?, observers(Stream::Stdout), over.try_clone()?)
        })
        .transpose()?;
    let stderr = stderr
        .map(|pipe| Tee::start(OwnedFd::from(pipe), Target::stderr()?, observers(Stream::Stderr), over))
        .transpose()?;

    let id = group.id();
    tell_of(sender, attempt.handle, attempt.signals, id)?;
    let watchdog = Watchdog::new(settings, id, progress, chunks.clone());
    let mut supervisor = Supervisor::new(settings, &group, progress, watchdog, attempt.title);
    if attempt.shows {
        supervisor.show();
    }
    supervisor.asked(attempt.signals);
    let stop = supervisor.run(events);
    let exit = group.reap()?;

    drop(still_running);
    let finish = |tee: &Option<Tee>| tee.as_ref().map(|tee| tee.finish(OUTPUT_PATIENCE));
    let (out, err) = (finish(&stdout), finish(&stderr));
    if matches!(out, Some(None)) || matches!(err, Some(None)) {
        console::warning("nobody reads our output, so that its end isn't waited for");
    }
    let output = out.flatten().and_then(|observers| observers.capture).map(Capture::whole);
    let stderr = err.flatten().and_then(|observers| observers.tail).map(Tail::text).unwrap_or_default();
    Ok((exit, (outcome::of_command(settings, exit, stop, output, &stderr), code_of(exit))))
}

/// Which streams pass through here. One that nobody looks at is inherited: nothing is faster, and a terminal stays one.
struct Pipes {
    reader: Option<LineParser>,
    stdout: bool,
    stderr: bool,
}

impl Pipes {
    fn of(settings: &RunArgs) -> Self {
        let reader = match &settings.progress_pattern {
            Some(pattern) => Some(LineParser::Pattern(pattern.0.clone())),
            None => settings.progress_json.then_some(LineParser::Json),
        };
        let watched = matches!(settings.stall(), Some((_, super::args::StallBy::Output)));
        let read = |stream| reader.is_some() && settings.progress_from == stream;
        let shown = !settings.quiet && io::stderr().is_terminal();
        Pipes {
            stdout: watched
                || settings.captures()
                || read(Stream::Stdout)
                || (shown && io::stdout().is_terminal()),
            stderr: watched || settings.stderr_lines > 0 || read(Stream::Stderr) || shown,
            reader,
        }
    }
}

fn command(settings: &RunArgs, attempt: &Attempt<'_>, pipes: &Pipes) -> io::Result<Command> {
    let (program, arguments) = settings.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, value) in &attempt.variables.0 {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(match &attempt.input {
        Input::File(path) => Stdio::from(File::open(path)?),
        Input::Inherited if io::stdin().is_terminal() => Stdio::null(),
        Input::Inherited => Stdio::inherit(),
    });
    let stdio = |piped| if piped { Stdio::piped() } else { Stdio::inherit() };
    command.stdout(stdio(pipes.stdout)).stderr(stdio(pipes.stderr));
    Ok(command)
}

/// Two threads that tell: of the command's end, and of what the activity's signals become.
fn tell_of(
    sender: Sender<Event>,
    handle: u64,
    mut known: Signals,
    leader: nix::unistd::Pid,
) -> io::Result<()> {
    let ended = sender.clone();
    thread::Builder::new().name("end".into()).spawn(move || {
        process_group::wait_for_end(leader);
        // Nobody listens any more when this fails; so below.
        let _ = ended.send(Event::Ended);
    })?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        // Ends when the handle is closed.
        while let Ok(signals) = activity::wait(handle, Signals::from_bits(u32::MAX), known, Timeout::Forever)
        {
            known = signals;
            if sender.send(Event::ActivitySignals(signals)).is_err() {
                break;
            }
        }
    })?;
    Ok(())
}

fn tell(
    title: &str,
    ending: &str,
    exit: Option<Exit>,
    failure: Option<&str>,
    elapsed: Duration,
    reported: &Result<(), Error>,
) {
    let (code, signal) = match exit {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    let mut text = match failure {
        Some(failure) => format!("{title}: {ending}: {failure}"),
        None => format!("{title}: {ending}"),
    };
    if let Err(error) = reported {
        text.push_str(&format!("; but the server couldn't be told: {error}"));
    }
    let event = json!({
        "event": "ended",
        "activity": title,
        "ending": ending,
        "exit_code": code,
        "signal": signal,
        "failure": failure,
        "seconds": elapsed.as_secs_f64(),
        "error": reported.as_ref().err().map(console::described),
    });
    console::event(&text, &event);
}
