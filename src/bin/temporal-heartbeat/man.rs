//! Manual pages, and completions for shells.

use std::{fs, io, path::Path};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use temporal_heartbeat::model::error::{Error, Result};

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

/// Writes a manual page for the program and for each command into the directory.
pub fn write_pages(program: &Command, directory: &Path) -> Result<u8> {
    let failed = |why| Error::config(format!("can't write to {}: {why}", directory.display()));
    fs::create_dir_all(directory).map_err(failed)?;
    let commands =
        program.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
    for command in commands.chain([program]) {
        write_page(command.clone(), directory).map_err(failed)?;
    }
    Ok(0)
}

fn write_page(mut command: Command, directory: &Path) -> io::Result<()> {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().to_owned();
    // Otherwise the synopsis would list all flags, and flags that `-h` omits would have no help.
    let mut command = command.override_usage(usage).mut_args(|flag| flag.hide_short_help(false));
    // The first paragraph is the summary, which is already below NAME.
    if let Some((_, description)) =
        command.get_long_about().map(ToString::to_string).unwrap_or_default().split_once("\n\n")
    {
        command = command.long_about(description.to_owned());
    }
    let page = Man::new(command);
    let mut text = Vec::new();
    page.render(&mut text)?;
    // The lines of examples and of lists must stay as they are.
    let text = String::from_utf8_lossy(&text)
        .replace(".SH EXTRA\n", ".SH \"EXAMPLES AND EXIT CODES\"\n.nf\n")
        .replace(".SH VERSION\n", ".fi\n.SH VERSION\n");
    fs::write(directory.join(page.get_filename()), text)
}
