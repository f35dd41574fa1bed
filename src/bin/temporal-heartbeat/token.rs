//! Reads the task token.

use std::{
    env, io,
    path::PathBuf,
    process::{Command, Stdio},
};

use clap::Args;
use nix::errno::Errno;
use serde_json::json;
use temporal_heartbeat::{
    config::handoff,
    model::{
        error::{Error, Result},
        status::Status,
    },
};
use zeroize::Zeroizing;

/// The heading of the flags for the task token.
pub const HEADING: &str = "Task token (without a flag: from TEMPORAL_ACTIVITY_TASK_TOKEN)";
/// The heading of the flags for ids.
pub const ID_HEADING: &str = "Activity by its ids, without a token";

/// The source of the task token. Without a flag it is the environment.
#[derive(Args, Debug)]
pub struct TokenArgs {
    /// Read the token, in standard base64, from the first line of the standard input. A command reads the rest
    #[arg(long, conflicts_with_all = ["token_file", "token_fd"], help_heading = HEADING)]
    token_stdin: bool,
    /// Read the token, in standard base64, from a file [env:TEMPORAL_ACTIVITY_TASK_TOKEN_FILE]
    #[arg(long, value_name = "PATH", conflicts_with = "token_fd", help_heading = HEADING)]
    token_file: Option<PathBuf>,
    /// Read the token, in standard base64, from an inherited descriptor [env:TEMPORAL_ACTIVITY_TASK_TOKEN_FD]
    #[arg(long, value_name = "NUMBER", help_heading = HEADING)]
    token_fd: Option<u16>,
}

/// The ids of a workflow's activity, instead of the task token.
#[derive(Args, Debug)]
pub struct IdArgs {
    /// The id of an activity of a workflow; its running attempt is used
    #[arg(long, value_name = "ID", requires = "workflow_id", conflicts_with_all = ["token_stdin", "token_file", "token_fd"], help_heading = ID_HEADING)]
    activity_id: Option<String>,
    /// The id of the workflow
    #[arg(long, value_name = "ID", requires = "activity_id", help_heading = ID_HEADING)]
    workflow_id: Option<String>,
    /// The run of the workflow [default: the current one]
    #[arg(long, value_name = "ID", requires = "activity_id", help_heading = ID_HEADING)]
    run_id: Option<String>,
}

impl IdArgs {
    /// Returns the ids as the JSON of `thb_token_from_ids`, if they are given.
    pub fn json(&self) -> Option<String> {
        let activity_id = self.activity_id.as_ref()?;
        let (workflow_id, run_id) = (self.workflow_id.as_deref(), self.run_id.as_deref());
        let ids = json!({"activity_id": activity_id, "workflow_id": workflow_id, "run_id": run_id.unwrap_or_default()});
        Some(ids.to_string())
    }
}

impl TokenArgs {
    /// Whether a flag names the source of the token.
    pub fn is_given(&self) -> bool {
        self.token_stdin || self.token_file.is_some() || self.token_fd.is_some()
    }

    /// Reads the token.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>> {
        match (&self.token_file, self.token_fd) {
            _ if self.token_stdin => from_stdin(),
            (Some(path), _) => handoff::token_from_file(path, &format!("the file {}", path.display())),
            (None, Some(number)) => {
                handoff::token_from_descriptor(number.into(), &format!("the descriptor {number}"))
            }
            (None, None) if !handoff::has_token() => Err(Error::config(format!(
                "there is no task token: give --token-file, --token-fd or --token-stdin, or run this in the environment of a parent \
                 that sets {}, {} or {}; `work` takes activities from a task queue and needs no token; `exec --when-absent run` runs \
                 the command without an activity",
                handoff::TOKEN,
                handoff::TOKEN_FILE,
                handoff::TOKEN_FD
            ))),
            (None, None) => handoff::token_from_env(),
        }
    }

    /// If the token was read from a descriptor, prevents commands from inheriting the descriptor.
    pub fn hide_from(&self, command: &mut Command) {
        match self.descriptor() {
            None | Some(libc::STDOUT_FILENO | libc::STDERR_FILENO) => {}
            Some(libc::STDIN_FILENO) => {
                command.stdin(Stdio::null());
            }
            Some(descriptor) => {
                // SAFETY: no pointers are passed. An invalid descriptor is an error, and then there is nothing to inherit.
                unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
            }
        }
    }

    fn descriptor(&self) -> Option<i32> {
        match self.token_fd {
            Some(number) => Some(number.into()),
            None if self.token_stdin || self.token_file.is_some() => None,
            None => env::var(handoff::TOKEN_FD).ok()?.parse().ok(),
        }
    }
}

/// Reads the first line byte by byte, because the rest is for the command.
fn from_stdin() -> Result<Zeroizing<Vec<u8>>> {
    let source = "the standard input";
    let mut line = Zeroizing::new(Vec::with_capacity(handoff::MAX_TOKEN_TEXT + 1));
    let mut byte = [0];
    while line.len() <= handoff::MAX_TOKEN_TEXT {
        match nix::unistd::read(io::stdin(), &mut byte) {
            Ok(0) => break,
            Ok(_) if byte == *b"\n" => break,
            Ok(_) => line.extend_from_slice(&byte),
            Err(Errno::EINTR) => {}
            Err(error) => {
                let why = format!("can't read a task token from {source}: {error}");
                return Err(Error::new(Status::Config, why));
            }
        }
    }
    handoff::token_from_text(&line, source)
}
