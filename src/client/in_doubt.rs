//! Remembers which activities may have been ended by a call without an answer.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use crate::sys::sync::Mutex;

/// The most activities that are remembered; the oldest is forgotten first.
const CAPACITY: usize = 1024;

/// The keys of the activities in doubt, also of the process's earlier clients. If the next ending call for one of them
/// finds the activity over, an earlier try has probably ended it. Then the error must not say that another attempt has
/// taken over.
#[derive(Default)]
pub struct InDoubt(Mutex<VecDeque<Zeroizing<Vec<u8>>>>);

impl InDoubt {
    /// Remembers a key, which contains the task token.
    pub fn add(&self, key: Zeroizing<Vec<u8>>) {
        let mut keys = self.0.lock();
        if keys.contains(&key) {
            return;
        }
        if keys.len() == CAPACITY {
            keys.pop_front();
        }
        keys.push_back(key);
    }

    /// Returns whether `key` is remembered.
    pub fn has(&self, key: &[u8]) -> bool {
        self.0.lock().iter().any(|known| known.as_slice() == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_belongs_to_its_token() {
        let in_doubt = InDoubt::default();
        in_doubt.add(b"a".to_vec().into());
        in_doubt.add(b"a".to_vec().into());
        assert!(in_doubt.has(b"a") && in_doubt.has(b"a") && !in_doubt.has(b"b"));
    }

    #[test]
    fn oldest_doubt_is_forgotten_first() {
        let in_doubt = InDoubt::default();
        (0..=CAPACITY).for_each(|n| in_doubt.add(n.to_le_bytes().to_vec().into()));
        assert!(!in_doubt.has(&0_usize.to_le_bytes()));
        assert!(in_doubt.has(&CAPACITY.to_le_bytes()));
    }
}
