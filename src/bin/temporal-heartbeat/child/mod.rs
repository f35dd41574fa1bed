//! The command's processes: a group of their own, which is never lost.
//!
//! | file | what it does |
//! |---|---|
//! | `group` | starts the command, signals its group |
//! | `guardian` | kills the group when this program was killed |
//! | `usage` | how much processor time the group has used |

pub mod guardian;
pub mod process_group;
pub mod usage;
