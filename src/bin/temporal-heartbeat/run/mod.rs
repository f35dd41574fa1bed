//! Runs a command as the work of one attempt of an activity.
//!
//! | file | what it does |
//! |---|---|
//! | `settings` | how it is to be run: the flags that `exec` and `work` share |
//! | `attempt` | one attempt from its start to the word on its end |
//! | `environment` | what the command finds in its environment |
//! | `supervise` | the command while it runs: what happens, and what is done then |
//! | `watchdog` | notices that a command hangs |
//! | `ending` | what the server is told at the end |

pub mod args;
pub mod attempt;
pub mod environment;
pub mod outcome;
pub mod supervisor;
mod watchdog;
