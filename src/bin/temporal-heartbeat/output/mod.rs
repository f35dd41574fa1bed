//! What the command writes: passed on as it comes, and looked at on the way.
//!
//! | file | what it does |
//! |---|---|
//! | `tee` | one stream, from the command to ours |
//! | `lines` | the newest line that says something |
//! | `progress` | what a line, or a file, says about progress |
//! | `keep` | the output to be the result, and the last lines for a failure |
//! | `screen` | the standard error, with a line of progress when it is a terminal |

pub mod capture;
pub mod lines;
pub mod progress;
pub mod screen;
pub mod tee;
