//! Values that belong to one process: a forked child doesn't share them with its parent.
//!
//! In a forked child only the forking thread exists. A lock that another thread held stays locked there, so a child
//! must not touch what the parent made. These cells take no lock.

use std::{
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

/// A value that a process makes on first use and never frees.
pub struct PerProcess<T: 'static>(AtomicPtr<T>);

impl<T: Send + Sync + 'static> PerProcess<T> {
    /// Creates an empty cell.
    pub const fn new() -> Self {
        PerProcess(AtomicPtr::new(ptr::null_mut()))
    }

    /// Returns the value of this process, if there is one.
    #[inline]
    pub fn get(&self) -> Option<&'static T> {
        // SAFETY: the pointer is null, or was made by `Box::into_raw` in `get_or_init` and is never freed.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Returns the value of this process, and makes it if necessary. If several threads do so at the same time, each
    /// makes one, and all but one are dropped.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &'static T {
        if let Some(value) = self.get() {
            return value;
        }
        let made = Box::into_raw(Box::new(make()));
        match self.0.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: it was made above, and nothing frees what is in the cell.
            Ok(_) => unsafe { &*made },
            Err(found) => {
                // SAFETY: it was made by `Box::into_raw` above, and no other thread has seen it.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: not null, or the exchange had succeeded; otherwise as in `get`.
                unsafe { &*found }
            }
        }
    }

    /// Forgets the parent's value without freeing it. For the fork handler, in a child. Async-signal-safe.
    pub fn forget(&self) {
        self.0.store(ptr::null_mut(), Ordering::Release);
    }
}

/// A value that a process publishes for its children.
pub struct Inheritable<T: 'static> {
    published: AtomicPtr<T>,
    /// What the parent had published at the fork. Never freed in this process.
    of_parent: AtomicPtr<T>,
}

impl<T: Send + Sync + 'static> Inheritable<T> {
    /// Creates an empty cell.
    pub const fn new() -> Self {
        Inheritable { published: AtomicPtr::new(ptr::null_mut()), of_parent: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Sets what children inherit from now on.
    pub fn publish(&self, value: Option<T>) {
        let new = value.map_or(ptr::null_mut(), |value| Box::into_raw(Box::new(value)));
        let old = self.published.swap(new, Ordering::AcqRel);
        // A child that has published a value, or none, no longer passes on its parent's.
        self.of_parent.store(ptr::null_mut(), Ordering::Release);
        if !old.is_null() {
            // SAFETY: `Box::into_raw` made it in this process, and it was taken from its only place. No reference to
            // it exists: `inherited` returns only values that the fork handler has moved from here.
            drop(unsafe { Box::from_raw(old) });
        }
    }

    /// Returns what the parent had published at the fork. Any thread may call this while another publishes.
    pub fn inherited(&self) -> Option<&'static T> {
        // SAFETY: null, or a value that the fork handler moved here, which is never freed.
        unsafe { self.of_parent.load(Ordering::Acquire).as_ref() }
    }

    /// Makes the parent's published value the inherited one. For the fork handler, in a child. A child that published
    /// nothing passes on what it inherited itself. Async-signal-safe.
    pub fn inherit(&self) {
        let published = self.published.swap(ptr::null_mut(), Ordering::AcqRel);
        if !published.is_null() {
            self.of_parent.store(published, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn value_is_created_once_per_process() {
        let cell = PerProcess::new();
        assert!(cell.get().is_none());
        assert_eq!((*cell.get_or_init(|| 1), *cell.get_or_init(|| 2)), (1, 1));
        cell.forget();
        assert!(cell.get().is_none());
        assert_eq!(*cell.get_or_init(|| 3), 3);
    }

    #[test]
    fn concurrent_first_threads_get_the_same_value() {
        let cell = PerProcess::new();
        let number = AtomicUsize::new(0);
        let make = || *cell.get_or_init(|| number.fetch_add(1, Ordering::SeqCst));
        let values = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(values.iter().all(|value| *value == values[0]));
    }

    #[test]
    fn child_passes_on_the_inherited_value_until_it_publishes() {
        let cell = Inheritable::new();
        cell.publish(Some(1));
        cell.publish(Some(2));
        assert_eq!(cell.inherited(), None, "this process has published it itself");
        cell.inherit();
        assert_eq!(cell.inherited(), Some(&2));
        cell.inherit();
        assert_eq!(cell.inherited(), Some(&2), "the child had published nothing");
        cell.publish(None);
        cell.inherit();
        assert_eq!(cell.inherited(), None);
    }
}
