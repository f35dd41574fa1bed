//! Completions for shells, and the manual pages.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use clap::CommandFactory;
use clap_complete::Shell;
use temporal_heartbeat::model::{
    error::{Error, Result},
    status::Status,
};

use crate::args::Cli;

const NAME: &str = env!("CARGO_BIN_NAME");
/// clap_complete 4.6 writes completions for bash whose parts don't find each other when the program's name has a hyphen.
const NAME_IN_BASH: &str = "temporalheartbeat";

/// Prints the completions for a shell.
pub fn completions(shell: Shell) -> Result<u8> {
    let mut script = Vec::new();
    let name = if shell == Shell::Bash { NAME_IN_BASH } else { NAME };
    clap_complete::generate(shell, &mut Cli::command(), name, &mut script);
    // At the end of a line it is the command that is completed.
    let script =
        String::from_utf8_lossy(&script).replace(&format!(" {NAME_IN_BASH}\n"), &format!(" {NAME}\n"));
    let why = |error| Error::new(Status::LocalLimit, format!("can't write to the standard output: {error}"));
    io::stdout().write_all(script.as_bytes()).map_err(why)?;
    Ok(0)
}

/// Writes the manual pages, one for each command, into a directory.
pub fn manual(directory: &Path) -> Result<u8> {
    let written =
        fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(Cli::command(), directory));
    let why = |error| Error::new(Status::Config, format!("can't write to {}: {error}", directory.display()));
    written.map_err(why)?;
    Ok(0)
}
