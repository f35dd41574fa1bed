//! Where the task token comes from.

use std::{env, io, path::PathBuf};

use clap::Args;
use nix::errno::Errno;
use temporal_heartbeat::{
    config::handoff,
    model::{
        error::{Error, Result},
        status::Status,
    },
};
use zeroize::Zeroizing;

/// Without any of them the environment tells.
#[derive(Args, Debug)]
#[command(next_help_heading = "Task token")]
pub struct TokenArgs {
    /// Read the token, in standard base64, from the first line of the standard input; what follows is left to the command
    #[arg(long, conflicts_with_all = ["token_file", "token_fd"])]
    token_stdin: bool,
    /// Read the token, in standard base64, from a file [env: TEMPORAL_ACTIVITY_TASK_TOKEN_FILE]
    #[arg(long, value_name = "PATH", conflicts_with = "token_fd")]
    token_file: Option<PathBuf>,
    /// Read the token, in standard base64, from an inherited descriptor [env: TEMPORAL_ACTIVITY_TASK_TOKEN_FD]
    #[arg(long, value_name = "NUMBER")]
    token_fd: Option<u16>,
}

impl TokenArgs {
    /// Whether it is said here where the token comes from.
    pub fn is_given(&self) -> bool {
        self.token_stdin || self.token_file.is_some() || self.token_fd.is_some()
    }

    /// The task token's bytes.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>> {
        match (&self.token_file, self.token_fd) {
            _ if self.token_stdin => from_stdin(),
            (Some(path), _) => handoff::token_from_file(path, &format!("the file {}", path.display())),
            (None, Some(number)) => {
                handoff::token_from_descriptor(number.into(), &format!("the descriptor {number}"))
            }
            (None, None) => handoff::token_from_env(),
        }
    }

    /// The descriptor that it was read from, if it was: the command must not inherit it.
    pub fn descriptor(&self) -> Option<i32> {
        match self.token_fd {
            Some(number) => Some(number.into()),
            None if self.token_stdin || self.token_file.is_some() => None,
            None => env::var(handoff::TOKEN_FD).ok()?.parse().ok(),
        }
    }
}

/// The first line, byte by byte: what follows is for whoever reads on.
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
                let why = format!("no task token can be read from {source}: {error}");
                return Err(Error::new(Status::Config, why));
            }
        }
    }
    handoff::token_from_text(&line, source)
}
