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
use temporal_heartbeat::{config::handoff, model::printable::is_control};

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
    /// Examines the processes of a group, and runs the command of `--on-stall`. Returns `None` as soon as `is_given_up` is true.
    pub fn of(
        group: &ProcessGroup<'_>,
        on_stall: Option<&str>,
        mut is_given_up: impl FnMut() -> bool,
    ) -> Option<Self> {
        let processes = processes::of_group(group.id());
        let culprit = processes.first();
        let lines = processes.iter().take(MAX_PROCESSES).map(Process::line);
        let mut text = lines.collect::<Vec<_>>().join("\n");
        if processes.len() > MAX_PROCESSES {
            text += &format!("\n(and {} more processes)", processes.len() - MAX_PROCESSES);
        }
        if processes.is_empty() {
            // For example, they belong to another user.
            text += "(/proc shows no process of the command)";
        }
        if let Some(command) = on_stall {
            let pid = culprit.map_or(group.id(), |process| Pid::from_raw(process.pid()));
            let command = command.replace(PLACEHOLDER, &pid.to_string());
            let outcome = run(&command, group.guardian(), &mut is_given_up)
                .unwrap_or_else(|why| Some(format!("it couldn't be run: {why}")));
            text += &format!("\n\n--on-stall: {}", outcome?);
        }
        let has_ended = !processes.is_empty() && processes.iter().all(Process::has_ended);
        let culprit = culprit.map(Process::summary).unwrap_or_default();
        (!is_given_up()).then_some(StallReport { culprit, text, has_ended })
    }
}

/// Returns the end and the output of the command of `--on-stall`; `None` if it was given up.
fn run(
    command: &str,
    guardian: &Guardian,
    mut is_given_up: impl FnMut() -> bool,
) -> io::Result<Option<String>> {
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
    let mut end = Instant::now() + TIMEOUT;
    let (mut output, mut has_exited) = (Vec::new(), false);
    // A process that it leaves behind may hold the pipe open, and write without end.
    while Instant::now() < end {
        if is_given_up() {
            return Ok(None);
        }
        let left = end.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left.min(CHECK_PERIOD)) {
            Ok(Part::Output(chunk)) => {
                let room = MAX_OUTPUT_BYTES.saturating_sub(output.len());
                output.extend(chunk.into_iter().take(room));
            }
            Ok(Part::Exit) => {
                // What it has written before its exit may still be in the pipe.
                (has_exited, end) = (true, end.min(Instant::now() + LAST_OUTPUT));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    // Kills it if it still runs.
    let exit = group.reap()?;
    let how = match (has_exited, exit.code()) {
        (false, _) => format!("it was killed after {} s", TIMEOUT.as_secs()),
        (true, Some(code)) => format!("exit code {code}"),
        (true, None) => format!("it was ended by signal {}", exit.signal().unwrap_or_default()),
    };
    Ok(Some(format!("{how}\n{}", shown(&output))))
}

/// Returns output without characters that control a terminal, at most [`MAX_OUTPUT_BYTES`].
fn shown(output: &[u8]) -> String {
    let mut text = String::new();
    for character in String::from_utf8_lossy(output).trim_end().chars() {
        match character {
            '\n' | '\t' => text.push(character),
            _ if is_control(character) => text.extend(character.escape_debug()),
            _ => text.push(character),
        }
    }
    let fits = |end: &usize| text.is_char_boundary(*end);
    text.truncate((0..=text.len().min(MAX_OUTPUT_BYTES)).rev().find(fits).unwrap_or(0));
    text
}

/// How long to read on after its exit.
const LAST_OUTPUT: Duration = Duration::from_millis(200);
/// How often to check whether it is given up.
const CHECK_PERIOD: Duration = Duration::from_millis(50);

enum Part {
    Output(Vec<u8>),
    Exit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_shown_without_control_characters_within_its_limit() {
        assert_eq!(shown(b"a\tb\n\x1b[2J\0\r\xe2\x80\xae\n\n"), "a\tb\n\\u{1b}[2J\\0\\r\\u{202e}");
        let invalid = shown(&[0xff; MAX_OUTPUT_BYTES]);
        assert!(invalid.len() <= MAX_OUTPUT_BYTES && invalid.chars().all(|shown| shown == '\u{fffd}'));
        assert!(shown(&[7; MAX_OUTPUT_BYTES]).len() <= MAX_OUTPUT_BYTES);
    }
}
