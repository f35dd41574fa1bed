//! Manual pages, and completions for shells.

use std::{fs, path::Path};

use clap::Command;
use clap_complete::Shell;
use temporal_heartbeat::model::{
    error::{Error, Result},
    status::Status,
};

use crate::console;

const NAME: &str = env!("CARGO_BIN_NAME");
/// clap_complete 4.6 generates invalid bash completions for a name that contains a hyphen.
const NAME_IN_BASH: &str = "temporalheartbeat";

/// Prints the completions for a shell.
pub fn print_completions(mut program: Command, shell: Shell) -> Result<u8> {
    let mut script = Vec::new();
    let name = if shell == Shell::Bash { NAME_IN_BASH } else { NAME };
    clap_complete::generate(shell, &mut program, name, &mut script);
    // At the end of a line it is the program's name.
    let script =
        String::from_utf8_lossy(&script).replace(&format!(" {NAME_IN_BASH}\n"), &format!(" {NAME}\n"));
    console::write_stdout(script.as_bytes())?;
    Ok(0)
}

/// Writes a manual page for each command into the directory.
pub fn write_pages(program: Command, directory: &Path) -> Result<u8> {
    fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(program, directory)).map_err(
        |why| Error::new(Status::Config, format!("can't write to {}: {why}", directory.display())),
    )?;
    Ok(0)
}
