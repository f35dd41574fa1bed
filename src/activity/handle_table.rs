//! The open watches, queues or workers of a process, by their handles.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::handle::{Handle, Kind, invalid};
use crate::{
    model::{
        error::{Error, Result},
        status::Status,
    },
    sys::sync::Mutex,
};

/// The open objects of one kind.
pub struct HandleTable<T> {
    kind: Kind,
    /// The fork count of this process.
    fork: u32,
    open: Mutex<Open<T>>,
    /// The number of open objects, which is read without the lock.
    count: AtomicUsize,
}

struct Open<T> {
    /// How many objects were added.
    added: u32,
    objects: HashMap<u64, Arc<T>>,
}

impl<T> HandleTable<T> {
    /// Creates an empty table, for a process with this fork count.
    pub fn new(kind: Kind, fork: u32) -> Self {
        let open = Mutex::new(Open { added: 0, objects: HashMap::new() });
        HandleTable { kind, fork, open, count: AtomicUsize::new(0) }
    }

    /// Adds an object. Returns the number of its handle.
    pub fn add(&self, object: Arc<T>) -> Result<u64> {
        let mut open = self.open.lock();
        if open.objects.len() >= self.kind.limit {
            let Kind { limit, name, .. } = self.kind;
            return Err(Error::new(
                Status::LocalLimit,
                format!("{limit} {name} are open, which is the limit"),
            ));
        }
        open.added = open.added.wrapping_add(1);
        let (index, generation) = self.kind.slot_of(open.added);
        let number = Handle::new(index, generation, self.fork).number();
        open.objects.insert(number, object);
        self.count.store(open.objects.len(), Ordering::Release);
        Ok(number)
    }

    /// Returns an open object.
    pub fn get(&self, number: u64) -> Result<Arc<T>> {
        Handle::from_number(number, self.fork)?;
        self.open.lock().objects.get(&number).cloned().ok_or_else(invalid)
    }

    /// Removes an object: its handle is invalid from now on.
    pub fn remove(&self, number: u64) -> Result<Arc<T>> {
        Handle::from_number(number, self.fork)?;
        let mut open = self.open.lock();
        let removed = open.objects.remove(&number).ok_or_else(invalid)?;
        self.count.store(open.objects.len(), Ordering::Release);
        Ok(removed)
    }

    /// Removes all objects.
    pub fn remove_all(&self) -> Vec<Arc<T>> {
        let mut open = self.open.lock();
        self.count.store(0, Ordering::Release);
        std::mem::take(&mut open.objects).into_values().collect()
    }

    /// Returns all objects.
    pub fn all(&self) -> Vec<Arc<T>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        self.open.lock().objects.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::handle::{QUEUES, WATCHES, WORKERS},
        *,
    };

    #[test]
    fn handles_of_different_kinds_differ_and_none_repeats() {
        let mut numbers = std::collections::HashSet::new();
        for kind in [WATCHES, QUEUES, WORKERS] {
            let table = HandleTable::new(kind, 0);
            for _ in 0..3 * Kind::SLOTS {
                let number = table.add(Arc::new(())).unwrap();
                assert!(numbers.insert(number));
                table.remove(number).unwrap();
                assert_eq!(table.get(number).unwrap_err().status(), Status::InvalidHandle);
            }
        }
    }

    #[test]
    fn objects_beyond_the_limit_are_refused() {
        let table = HandleTable::new(WORKERS, 0);
        for _ in 0..WORKERS.limit {
            table.add(Arc::new(())).unwrap();
        }
        let error = table.add(Arc::new(())).unwrap_err();
        assert_eq!(
            (error.status(), error.message()),
            (Status::LocalLimit, "256 workers are open, which is the limit")
        );
        assert_eq!(table.all().len(), 256);
        assert_eq!(table.remove_all().len(), 256);
        assert!(table.all().is_empty());
    }

    #[test]
    fn handle_of_the_parent_is_recognized() {
        let number = HandleTable::new(QUEUES, 0).add(Arc::new(())).unwrap();
        let of_child = HandleTable::<()>::new(QUEUES, 1);
        assert_eq!(of_child.get(number).unwrap_err().status(), Status::Forked);
        assert_eq!(of_child.remove(number).unwrap_err().status(), Status::Forked);
    }
}
