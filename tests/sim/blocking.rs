//! Calls of the library that block, each on a separate stack: a call that waits leaves the thread to the simulation.

use std::cell::{Cell, RefCell};

use corosensei::{Coroutine, CoroutineResult, Yielder, stack::DefaultStack};

/// What a blocked call waits for.
pub struct Wait {
    /// The condition variable; `None`: its thread was preempted.
    pub condvar: Option<usize>,
    /// For how long at most.
    pub time: std::time::Duration,
}

thread_local! {
    /// How the call that runs gives the thread back.
    static YIELDER: Cell<Option<*const Yielder<(), Wait>>> = const { Cell::new(None) };
    /// Stacks that calls have left.
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

/// A call that blocks. Dropping it ends the call: its stack is unwound.
pub struct Blocking(Option<Coroutine<(), Wait, (), DefaultStack>>);

// SAFETY: a simulation never leaves its thread, because it runs in a runtime of one thread, which is dropped there.
unsafe impl Send for Blocking {}

impl Blocking {
    pub fn new(call: impl FnOnce() + 'static) -> Self {
        let stack = STACKS.with_borrow_mut(Vec::pop).unwrap_or_default();
        Blocking(Some(Coroutine::with_stack(stack, move |yielder, ()| {
            YIELDER.set(Some(yielder));
            call();
        })))
    }

    /// Continues the call until it waits, or returns (`None`).
    pub fn resume(&mut self) -> Option<Wait> {
        let coroutine = self.0.as_mut().expect("the call has returned");
        let resumed = coroutine.resume(());
        YIELDER.set(None);
        match resumed {
            CoroutineResult::Yield(wait) => Some(wait),
            CoroutineResult::Return(()) => {
                let stack = self.0.take().map(Coroutine::into_stack);
                STACKS.with_borrow_mut(|stacks| stacks.extend(stack));
                None
            }
        }
    }
}

/// Whether a call runs now, and not a task of the simulation.
pub fn is_running() -> bool {
    YIELDER.get().is_some()
}

/// Gives the thread back to the simulation, until the call that runs is resumed.
pub fn wait(wait: Wait) {
    let yielder = YIELDER.get().expect("a blocking call of the library outside of World::blocking");
    // SAFETY: the yielder lives on the stack of the call that runs now: each call sets it when it starts and when it is resumed.
    unsafe { &*yielder }.suspend(wait);
    YIELDER.set(Some(yielder));
}
