//! `temporal-heartbeat`: runs any program as a Temporal Activity.
//!
//! | module | what it does |
//! |---|---|
//! | `exec` | `exec`: runs a command for one attempt that a parent has handed over |
//! | `work` | `work`: takes attempts from a task queue, and runs a command for each |
//! | `run` | runs a command as one attempt, for `exec` and `work` |
//! | `child` | the command's processes |
//! | `output` | the command's output |
//! | `commands` | the commands for scripts, one call each |
//! | `connection`, `token`, `value` | flags that several commands share |
//! | `man` | manual pages and completions |
//! | `regular_file` | reads files that a command writes |
//! | `console`, `error`, `exit_code`, `signals` | this program's own output, errors, exit codes and signals |

mod child;
mod commands;
mod connection;
mod console;
mod error;
mod exec;
mod exit_code;
mod man;
mod output;
mod regular_file;
mod run;
mod signals;
mod token;
mod value;
mod work;
mod wrap;

use std::{env, path::PathBuf, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};
use clap_complete::Shell;
use temporal_heartbeat::model::error::Error;

use crate::{
    child::adopted,
    commands::{CancelledArgs, CompleteArgs, DetailsArgs, FailArgs, HeartbeatArgs, StatusArgs},
    connection::Connection,
    console::Format,
    error::local_error,
    exec::ExecArgs,
    work::WorkArgs,
};

/// Run any program as a Temporal Activity
///
/// `exec` runs a program for an attempt that a worker has handed over: it sends heartbeats while the program runs, handles cancellation,
/// passes the previous attempt's details to the program, and reports the outcome. `work` takes the attempts from a task queue itself. The
/// other commands are for scripts that do these things step by step.
#[derive(Parser, Debug)]
#[command(name = "temporal-heartbeat", version, max_term_width = 120, after_long_help = help())]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    /// The format of results and messages
    #[arg(long, short = 'o', global = true, value_enum, value_name = "FORMAT", default_value_t)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Exec(ExecArgs),
    Work(WorkArgs),
    Heartbeat(HeartbeatArgs),
    Details(DetailsArgs),
    Complete(CompleteArgs),
    Fail(FailArgs),
    Cancelled(CancelledArgs),
    Status(StatusArgs),
    /// Print the completions for a shell
    #[command(after_long_help = "Example:\n  source <(temporal-heartbeat completions bash)")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages to a directory
    #[command(hide = true)]
    Man {
        /// The directory; it is created if it doesn't exist
        directory: PathBuf,
    },
    /// Kill the commands of a program that was killed; `exec` and `work` start this
    #[command(hide = true)]
    Guard {
        /// The directory to remove at the end
        directory: PathBuf,
    },
}

fn help() -> String {
    format!("{EXAMPLES}\n{}", exit_code::help())
}

const EXAMPLES: &str = "\
Examples:
  temporal-heartbeat work --task-queue reports -- ./report.sh
  temporal-heartbeat exec -- ./solver --input model.dat
  temporal-heartbeat heartbeat '{\"item\": 41}'
";

/// Returns the parser. `completions` makes no connection, so its help doesn't list the flags of the connection.
fn parser() -> clap::Command {
    let mut program = Cli::command();
    program.build();
    program.mut_subcommand("completions", |command| {
        command.mut_args(|flag| {
            let is_hidden = flag.get_help_heading() == Some(connection::HEADING);
            flag.hide(is_hidden)
        })
    })
}

/// Explains a mistake in the command line, as clap does. Shows where the command to run belongs.
fn report_usage(error: &clap::Error) -> u8 {
    // Fails only if the output is closed.
    let _ = error.print();
    if !error.use_stderr() {
        return 0;
    }
    let has = |word| env::args_os().any(|argument| argument == word);
    let needs_dashes =
        error.kind() == ErrorKind::UnknownArgument && (has("exec") || has("work")) && !has("--");
    if needs_dashes {
        eprintln!(
            "\nThe command to run follows after --, for example:\n  {} exec -- ./solver",
            env!("CARGO_BIN_NAME")
        );
    }
    exit_code::USAGE
}

fn main() -> ExitCode {
    let cli = parser().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match cli {
        Ok(cli) => cli,
        Err(error) => return report_usage(&error).into(),
    };
    console::set_format(cli.output);
    let code = signals::reset_inherited()
        .map_err(|why| local_error("reset signals", &why))
        .and_then(|()| adopted::reap_during(|| run(cli)));
    code.unwrap_or_else(|error| report(&error)).into()
}

/// Runs the command, and returns the exit code.
fn run(cli: Cli) -> u8 {
    let connection = &cli.connection;
    let code = match cli.command {
        Command::Exec(args) => exec::run(connection, args),
        Command::Work(args) => work::run(connection, args),
        Command::Heartbeat(args) => commands::heartbeat(connection, args),
        Command::Details(args) => commands::details(connection, &args),
        Command::Complete(args) => commands::complete(connection, args),
        Command::Fail(args) => commands::fail(connection, args),
        Command::Cancelled(args) => commands::cancelled(connection, args),
        Command::Status(args) => commands::status(connection, &args),
        Command::Completions { shell } => man::print_completions(Cli::command(), shell),
        Command::Man { directory } => man::write_pages(&parser(), &directory),
        Command::Guard { directory } => child::guardian::run(&directory),
    };
    code.unwrap_or_else(|error| report(&error))
}

/// Prints an error, and returns its exit code.
fn report(error: &Error) -> u8 {
    let code = exit_code::of_status(error.status());
    console::error(error, code);
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_flag_has_a_help() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            let silent = command.get_arguments().find(|argument| argument.get_help().is_none());
            assert!(silent.is_none(), "{}: {silent:?}", command.get_name());
        }
    }
}
