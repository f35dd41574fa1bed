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
mod connection;
mod exec;
mod exit;
mod output;
mod pages;
mod run;
mod say;
mod script;
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
            return if error.use_stderr() { exit::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    say::set_format(cli.output);
    let connection = &cli.connection;
    let code = match cli.command {
        Command::Exec(args) => exec::run(connection, args),
        Command::Work(args) => work::run(connection, args),
        Command::Heartbeat(args) => script::heartbeat(connection, args),
        Command::Details(args) => script::details(connection, &args),
        Command::Complete(args) => script::complete(connection, args),
        Command::Fail(args) => script::fail(connection, args),
        Command::Cancelled(args) => script::cancelled(connection, args),
        Command::Status(args) => script::status(connection, &args),
        Command::Completions { shell } => pages::completions(shell),
        Command::Man { directory } => pages::manual(&directory),
        Command::Guard { directory } => child::guardian::guard(&directory),
    };
    code.unwrap_or_else(|error| {
        say::error(&error);
        exit::of(error.status())
    })
    .into()
}
