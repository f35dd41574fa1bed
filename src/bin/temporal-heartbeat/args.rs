//! The command line as a whole. Its help is the program's first manual.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    commands::{CompleteArgs, DetailsArgs, FailArgs, HeartbeatArgs, ReportArgs},
    connection::Connection,
    console::Format,
    exec::ExecArgs,
    exit_code,
    token::TokenArgs,
    work::WorkArgs,
};

/// Any program as the work of a Temporal Activity
///
/// `exec` runs a program for an attempt that a worker has handed over: it beats while the program runs, passes cancellation on, hands
/// the details of the attempt before to the program, and ends the activity as the program ends. `work` takes the attempts from the
/// task queue itself. The other commands are for scripts that do these things step by step.
#[derive(Parser, Debug)]
#[command(name = "temporal-heartbeat", version, max_term_width = 120, after_long_help = exit_code::table())]
pub struct Cli {
    #[command(flatten)]
    pub connection: Connection,
    /// How results and messages are printed
    #[arg(long, short = 'o', global = true, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    Exec(ExecArgs),
    Work(WorkArgs),
    Heartbeat(HeartbeatArgs),
    Details(DetailsArgs),
    Complete(CompleteArgs),
    Fail(FailArgs),
    Cancelled(ReportArgs),
    /// Show what the server holds of the activity
    #[command(after_long_help = "Exits with 76 when the activity is over for this token.")]
    Status(TokenArgs),
    /// Print the completions for a shell
    #[command(after_long_help = "Example:\n  source <(temporal-heartbeat completions bash)")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man {
        /// The directory; it is made if there is none
        directory: PathBuf,
    },
    /// What kills the commands of a program that was killed itself; started by `exec` and `work`
    #[command(hide = true)]
    Guard {
        /// The directory to remove then
        directory: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

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
