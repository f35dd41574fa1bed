//! Copies the command's output unchanged, and searches it for progress.
//!
//! | file | what it does |
//! |---|---|
//! | `tee` | copies one stream of the command to this program's, and passes it to observers |
//! | `lines` | finds the last line of a stream that a parser accepts, and writes a prefix before each line |
//! | `progress` | parses progress from lines, and records progress |
//! | `progress_file` | reads progress from a file while the command writes it |
//! | `pty` | a pseudo-terminal as the command's standard output |
//! | `capture` | keeps the output for the result, and the last lines for a failure |

pub mod capture;
pub mod lines;
pub mod progress;
pub mod progress_file;
pub mod pty;
pub mod tee;
