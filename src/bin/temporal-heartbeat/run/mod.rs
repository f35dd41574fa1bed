//! Runs a command as one attempt of an activity.
//!
//! | file | what it does |
//! |---|---|
//! | `args` | the flags that `exec` and `work` share |
//! | `attempt` | one attempt, from the start of the command to the report of its outcome |
//! | `environment` | the command's environment variables, files and input |
//! | `library_log` | shows log records of the library |
//! | `program` | checks that the command can be run |
//! | `supervisor` | handles events while the command runs |
//! | `watchdog` | detects a command that hangs |
//! | `reason` | the reason of a cancellation or a pause |
//! | `stall_report` | what a command that hangs does |
//! | `outcome` | what is reported to the server |
//! | `reporter` | reports the end of an attempt: to the server, and to the user |

pub mod args;
pub mod attempt;
pub mod environment;
pub mod library_log;
pub mod outcome;
pub mod program;
pub mod reason;
pub mod reporter;
pub mod stall_report;
pub mod supervisor;
mod watchdog;
