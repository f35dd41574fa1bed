//! `temporal-heartbeat`: any program as the work of a Temporal Activity.
//!
//! | file | what it does |
//! |---|---|
//! | `args`, `connection`, `token`, `value` | what may be said on the command line, and what it means |
//! | `script` | one call a command: `heartbeat`, `details`, `complete`, `fail`, `cancelled`, `status` |
//! | `exec` | `exec`: one attempt, handed over by a parent |
//! | `work` | `work`: attempts taken from a task queue |
//! | `run` | runs a command as the work of one attempt, for both |
//! | `child` | the command's processes: started, signalled, never lost |
//! | `output` | what the command writes: passed on, and looked at on the way |
//! | `pages` | completions and manual pages |
//! | `exit`, `say` | exit codes, and what is told to people |

mod args;
mod child;
mod commands;
mod connection;
mod console;
mod exec;
mod exit_code;
mod man;
mod output;
mod run;
mod token;
mod value;
mod work;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed output is the only thing that can go wrong here.
            let _ = error.print();
            return if error.use_stderr() { exit_code::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    console::set_format(cli.output);
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
        Command::Completions { shell } => man::completions(shell),
        Command::Man { directory } => man::manual(&directory),
        Command::Guard { directory } => child::guardian::guard(&directory),
    };
    code.unwrap_or_else(|error| {
        console::error(&error);
        exit_code::of(error.status())
    })
    .into()
}
