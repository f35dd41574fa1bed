//! A call of the server, before it begins: its caller may block, await a future, or take the result from a queue.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::sync::oneshot::{self, Receiver};

use super::queue::{Answer, Entry, OUTLIVES_SESSIONS};
use crate::{
    activity::{Activities, handle::Handle},
    client::Client,
    model::{
        deadline::{Cancellation, Deadline},
        error::{Error, Result},
        status::Status,
    },
    process::session::Session,
    runtime,
    sys::sync::{AsyncMutex, timeout},
};

/// What a call does. It keeps the deadline itself.
type BoxedWork<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// Returns what a caller gets without an outcome, because the work was stopped, or the caller has given up. Takes the
/// reason. Work that hasn't begun never will.
type Otherwise<T> = Box<dyn FnOnce(Error) -> Result<T> + Send>;

/// Ends a call without an outcome, also when it is dropped: a call that is dropped must leave nothing behind.
pub struct Fallback<T> {
    otherwise: Option<Otherwise<T>>,
    cancellation: Arc<Cancellation>,
}

impl<T> Fallback<T> {
    /// Returns the outcome, or what replaces it if there is only a reason for its absence.
    fn resolve<U: From<T>>(mut self, outcome: Result<Result<U>>) -> Result<U> {
        let otherwise = self.otherwise.take();
        let without = match outcome {
            Ok(outcome) => return outcome,
            Err(why) => self.abandoned(why),
        };
        match otherwise {
            Some(otherwise) => otherwise(without).map(U::from),
            None => Err(without),
        }
    }

    fn abandoned(&self, why: Error) -> Error {
        self.cancellation.start.prevent();
        why
    }
}

impl<T> Drop for Fallback<T> {
    fn drop(&mut self) {
        if let Some(otherwise) = self.otherwise.take() {
            // The result has no receiver.
            let _ = otherwise(self.abandoned(runtime::disconnected()));
        }
    }
}

/// A call that can begin. What is wrong without asking the server was found before.
#[must_use = "a call begins when it is waited for"]
pub struct Call<T>(Kind<T>);

/// What a call does that needs no server. It never waits.
type Action<T> = Box<dyn FnOnce() -> Result<T> + Send>;

enum Kind<T> {
    Immediate(Action<T>),
    Prepared(Prepared<T>),
}

struct Prepared<T> {
    session: Arc<Session>,
    deadline: Deadline,
    work: BoxedWork<T>,
    fallback: Fallback<T>,
    /// The handle whose submitted calls run one at a time.
    handle: Option<(&'static Activities, Handle)>,
    outlives_session: bool,
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Call").finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Call<T> {
    /// Creates a call whose result is known.
    pub fn ready(result: T) -> Self {
        Self::immediate(move || Ok(result))
    }

    /// Creates a call that runs `action` when it begins. An error of `action` refuses the call.
    pub fn immediate(action: impl FnOnce() -> Result<T> + Send + 'static) -> Self {
        Call(Kind::Immediate(Box::new(action)))
    }

    /// Creates a call that runs `work` in a session.
    pub fn new<Work>(
        session: Arc<Session>,
        mut deadline: Deadline,
        work: impl FnOnce(Arc<Client>, Deadline) -> Work,
    ) -> Self
    where
        Work: Future<Output = Result<T>> + Send + 'static,
    {
        let fallback = Fallback { otherwise: None, cancellation: deadline.cancellation().clone() };
        let work = Box::pin(work(session.client().clone(), deadline.clone()));
        Call(Kind::Prepared(Prepared {
            session,
            deadline,
            work,
            fallback,
            handle: None,
            outlives_session: false,
        }))
    }

    /// Makes it a call of an open activity.
    pub fn of(self, activities: &'static Activities, handle: Handle) -> Self {
        self.change(|call| call.handle = Some((activities, handle)))
    }

    /// Makes it a call that a disconnect doesn't end.
    pub fn outliving_session(self) -> Self {
        self.change(|call| call.outlives_session = true)
    }

    /// Sets what the caller gets if the work is stopped, or if the caller gives up before it ends.
    pub fn or(self, otherwise: impl FnOnce(Error) -> Result<T> + Send + 'static) -> Self {
        self.change(|call| call.fallback.otherwise = Some(Box::new(otherwise)))
    }

    fn change(mut self, change: impl FnOnce(&mut Prepared<T>)) -> Self {
        if let Kind::Prepared(call) = &mut self.0 {
            change(call);
        }
        self
    }

    /// Makes the call, and blocks until it ends.
    pub fn wait(self) -> Result<T> {
        match self.0 {
            Kind::Immediate(action) => action(),
            Kind::Prepared(Prepared { session, deadline, work, fallback, .. }) => {
                let work = unless_prevented(work, fallback.cancellation.clone());
                fallback.resolve(session.block_on(&deadline, async move { Ok(work.await) }))
            }
        }
    }
}

impl<T: Send + 'static> Call<T>
where
    Answer: From<T>,
{
    /// Begins the call. Its completion goes to a queue.
    pub fn submit(self, entry: Entry) -> Result<()> {
        let call = match self.0 {
            Kind::Immediate(action) => {
                entry.complete(action()?.into());
                return Ok(());
            }
            Kind::Prepared(call) => call,
        };
        let Prepared { session, mut deadline, work, fallback, handle, outlives_session } = call;
        let turn = match handle {
            Some((activities, handle)) => Some(activities.registry.turn(handle)?),
            None => None,
        };
        let of_session = if outlives_session { OUTLIVES_SESSIONS } else { session.number };
        let cancellation = deadline.cancellation().share();
        let work = unless_prevented(work, cancellation.clone());
        let running = entry.begin(of_session, cancellation, Box::new(|outcome| fallback.resolve(outcome)));
        session.spawn(async move {
            let outcome = match turn {
                Some(turn) => in_turn(turn, &deadline, work).await,
                None => work.await,
            };
            running.end(outcome.map(Into::into));
        });
        Ok(())
    }
}

/// Does the work after the earlier submitted calls of the same handle.
async fn in_turn<T>(
    turn: Arc<AsyncMutex<()>>,
    deadline: &Deadline,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let locked = timeout(deadline.remaining(), turn.lock_owned());
    match deadline.unless_cancelled(locked).await {
        Some(Ok(_locked)) => work.await,
        _ => Err(Error::new(
            Status::Timeout,
            "an earlier submitted call of this handle still runs; nothing was sent",
        )),
    }
}

/// Does the work, unless the caller has given up before.
async fn unless_prevented<T>(work: BoxedWork<T>, cancellation: Arc<Cancellation>) -> Result<T> {
    if cancellation.start.begin() { work.await } else { Err(runtime::disconnected()) }
}

/// Begins the call; for a Rust program with any asynchronous runtime. Dropping the future cancels the call.
impl<T: Send + 'static> IntoFuture for Call<T> {
    type Output = Result<T>;
    type IntoFuture = CallFuture<T>;

    fn into_future(self) -> CallFuture<T> {
        match self.0 {
            Kind::Immediate(action) => CallFuture::Ready(Some(action())),
            Kind::Prepared(Prepared { session, mut deadline, work, fallback, .. }) => {
                let (sender, outcome) = oneshot::channel();
                let cancellation = deadline.cancellation().share();
                let work = unless_prevented(work, cancellation);
                session.spawn(async move { drop(sender.send(work.await)) });
                CallFuture::Running(outcome, Some(fallback))
            }
        }
    }
}

/// A call that has begun.
pub enum CallFuture<T> {
    /// The result is known; `None` once it was returned.
    Ready(Option<Result<T>>),
    /// The call runs; `None` once the outcome was returned.
    Running(Receiver<Result<T>>, Option<Fallback<T>>),
}

impl<T> Unpin for CallFuture<T> {}

impl<T: 'static> Future for CallFuture<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let again = || Error::new(Status::Internal, "the future was polled after its end");
        match &mut *self {
            CallFuture::Ready(result) => Poll::Ready(result.take().unwrap_or_else(|| Err(again()))),
            // The receiver panics if it is polled again.
            CallFuture::Running(_, None) => Poll::Ready(Err(again())),
            CallFuture::Running(outcome, fallback) => Pin::new(outcome).poll(context).map(|outcome| {
                let fallback = fallback.take().ok_or_else(again)?;
                fallback.resolve(outcome.map_err(|_| runtime::disconnected()))
            }),
        }
    }
}

impl<T> Drop for CallFuture<T> {
    fn drop(&mut self) {
        if let CallFuture::Running(_, Some(fallback)) = self {
            fallback.cancellation.cancel();
        }
    }
}
