//! Replaces `src/activity`. The source files are the same, except for the content of a slot.

#[path = "../../../src/activity/handle.rs"]
pub mod handle;
#[path = "../../../src/activity/handle_table.rs"]
pub mod handle_table;
#[path = "../../../src/activity/registry.rs"]
pub mod registry;
#[path = "../../../src/activity/wake_queue.rs"]
pub mod wake_queue;

pub mod state {
    /// The content of a slot. The registry doesn't depend on it.
    pub struct Activity(pub u32);

    impl Activity {
        pub fn key(&self) -> &[u8] {
            b"token"
        }
    }
}
