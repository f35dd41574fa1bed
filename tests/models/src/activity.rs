//! As `src/activity`, but for what a slot holds.

#[path = "../../../src/activity/handle.rs"]
pub mod handle;
#[path = "../../../src/activity/registry.rs"]
pub mod registry;
#[path = "../../../src/activity/wake_queue.rs"]
pub mod wake_queue;

pub mod state {
    /// What a slot holds is nothing to the slot.
    pub struct Activity(pub u32);

    impl Activity {
        pub fn key(&self) -> &[u8] {
            b"token"
        }
    }
}
