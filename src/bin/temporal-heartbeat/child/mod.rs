//! The command's processes, which never outlive this program.
//!
//! | file | what it does |
//! |---|---|
//! | `process_group` | starts, signals and reaps the command's process group |
//! | `processes` | shows what the processes of a group do |
//! | `guardian` | kills the group and removes its files if this program is killed |
//! | `adopted` | reaps processes that the kernel gives to this program |

pub mod adopted;
pub mod guardian;
pub mod process_group;
pub mod processes;
