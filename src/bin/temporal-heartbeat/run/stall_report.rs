//! The report on a command that hangs: what its processes do, and the output of `--on-stall`.

use std::{
    io::{self, Read},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use nix::unistd::Pid;
use temporal_heartbeat::config::handoff;

use crate::child::{
    guardian::Guardian,
    process_group::{self, ProcessGroup},
    processes::{self, Process},
};

/// How long the command of `--on-stall` may run. Then it is killed.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of its output is kept.
const MAX_OUTPUT_BYTES: usize = 24 << 10;
/// The most processes that are listed.
const MAX_PROCESSES: usize = 64;
/// What `--on-stall` has instead of the process id.
const PLACEHOLDER: &str = "{pid}";

/// What is known about a command that hangs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StallReport {
    /// The process that probably hangs, in a few words.
    pub culprit: String,
    /// A line for each process, and the output of `--on-stall`.
    pub text: String,
    /// Whether the command has ended during the examination.
    pub has_ended: bool,
}

impl StallReport {
    /// Examines the processes of a group, and runs the command of `--on-stall`.
    pub fn of(group: &ProcessGroup<'_>, on_stall: Option<&str>) -> Self {
        let processes = processes::of_group(group.id());
        let culprit = processes.first();
        let lines = processes.iter().take(MAX_PROCESSES).map(Process::line);
        let mut text = lines.collect::<Vec<_>>().join("\n");
        if processes.len() > MAX_PROCESSES {
            text += &format!("\n(and {} more processes)", processes.len() - MAX_PROCESSES);
        }
        if let Some(command) = on_stall {
            let pid = culprit.map_or(group.id(), |process| Pid::from_raw(process.pid()));
            text += &format!("\n\n--on-stall: {}", outcome_of(command, pid, group.guardian()));
        }
        let has_ended = processes.iter().all(Process::has_ended);
        StallReport { culprit: culprit.map(Process::summary).unwrap_or_default(), text, has_ended }
    }
}

/// Returns the end and the output of the command of `--on-stall`.
fn outcome_of(command: &str, pid: Pid, guardian: &Guardian) -> String {
    run(&command.replace(PLACEHOLDER, &pid.to_string()), guardian)
        .unwrap_or_else(|why| format!("it couldn't be run: {why}"))
}

fn run(command: &str, guardian: &Guardian) -> io::Result<String> {
    let (mut reader, writer) = io::pipe()?;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    for token in [handoff::TOKEN, handoff::TOKEN_FILE, handoff::TOKEN_FD] {
        shell.env_remove(token);
    }
    let group = ProcessGroup::start(&mut shell, guardian)?;
    // Closes this process's copies of the write end.
    drop(shell);
    let (sender, receiver) = mpsc::channel();
    let exit_sender = sender.clone();
    thread::Builder::new().name("on-stall".into()).spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(size @ 1..) = reader.read(&mut chunk) {
            if sender.send(Part::Output(chunk.get(..size).unwrap_or_default().to_vec())).is_err() {
                return;
            }
        }
    })?;
    let id = group.id();
    thread::Builder::new().name("on-stall exit".into()).spawn(move || {
        process_group::wait_for_exit(id);
        // Fails only after the timeout.
        let _ = exit_sender.send(Part::Exit);
    })?;
    let end = Instant::now() + TIMEOUT;
    let (mut output, mut has_exited) = (Vec::new(), false);
    loop {
        // What it has written before its exit may still be in the pipe. A process that it leaves behind may hold the pipe open.
        let wait = if has_exited { LAST_OUTPUT } else { end.saturating_duration_since(Instant::now()) };
        match receiver.recv_timeout(wait) {
            Ok(Part::Output(chunk)) => {
                let room = MAX_OUTPUT_BYTES.saturating_sub(output.len());
                output.extend(chunk.into_iter().take(room));
            }
            Ok(Part::Exit) => has_exited = true,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
        if Instant::now() >= end {
            break;
        }
    }
    // Kills it if it still runs.
    let exit = group.reap()?;
    let how = match (has_exited, exit.code()) {
        (false, _) => format!("it was killed after {} s", TIMEOUT.as_secs()),
        (true, Some(code)) => format!("exit code {code}"),
        (true, None) => format!("it was ended by signal {}", exit.signal().unwrap_or_default()),
    };
    Ok(format!("{how}\n{}", String::from_utf8_lossy(&output).trim_end()))
}

/// How long to read on after its exit.
const LAST_OUTPUT: Duration = Duration::from_millis(200);

enum Part {
    Output(Vec<u8>),
    Exit,
}
