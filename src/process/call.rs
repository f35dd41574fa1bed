//! A call of the server, before it begins: its caller may block, await a future, or take the result from a queue.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    sync::oneshot::{self, Receiver},
    time::timeout,
};

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
};

/// What a call does. It keeps the deadline itself.
type Work<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// Why a caller gets no outcome: the work was stopped, or the caller has given up.
pub struct Abandoned {
    /// The error for the caller.
    pub why: Error,
    /// Whether the work has begun. Otherwise it never will.
    pub has_begun: bool,
}

/// Returns what a caller without an outcome gets.
type Otherwise<T> = Box<dyn FnOnce(Abandoned) -> Result<T> + Send>;

/// Ends a call without an outcome, also when it is dropped: a call that is dropped must leave nothing behind.
struct Fallback<T> {
    otherwise: Option<Otherwise<T>>,
    cancellation: Arc<Cancellation>,
}

impl<T> Fallback<T> {
    fn apply(mut self, why: Error) -> Result<T> {
        match self.otherwise.take() {
            Some(otherwise) => otherwise(self.abandoned(why)),
            None => Err(self.abandoned(why).why),
        }
    }

    /// Does nothing, because there is an outcome.
    fn dismiss(mut self) {
        self.otherwise = None;
    }

    fn abandoned(&self, why: Error) -> Abandoned {
        Abandoned { why, has_begun: !self.cancellation.prevent() }
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

enum Kind<T> {
    /// There is nothing to do.
    Ready(T),
    Begin(Begin<T>),
}

struct Begin<T> {
    session: Arc<Session>,
    deadline: Deadline,
    work: Work<T>,
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
        Call(Kind::Ready(result))
    }

    /// Creates a call that runs `work` in a session.
    pub fn new<Begun>(
        session: Arc<Session>,
        mut deadline: Deadline,
        work: impl FnOnce(Arc<Client>, Deadline) -> Begun,
    ) -> Self
    where
        Begun: Future<Output = Result<T>> + Send + 'static,
    {
        let fallback = Fallback { otherwise: None, cancellation: deadline.cancellation().clone() };
        let work = Box::pin(work(session.client().clone(), deadline.clone()));
        Call(Kind::Begin(Begin { session, deadline, work, fallback, handle: None, outlives_session: false }))
    }

    /// Makes it a call of an open activity.
    pub fn of(self, activities: &'static Activities, handle: Handle) -> Self {
        self.change(|begin| begin.handle = Some((activities, handle)))
    }

    /// Makes it a call that a disconnect doesn't end.
    pub fn outliving_session(self) -> Self {
        self.change(|begin| begin.outlives_session = true)
    }

    /// Sets what the caller gets if the work is stopped, or if the caller gives up before it ends.
    pub fn or(self, otherwise: impl FnOnce(Abandoned) -> Result<T> + Send + 'static) -> Self {
        self.change(|begin| begin.fallback.otherwise = Some(Box::new(otherwise)))
    }

    fn change(mut self, change: impl FnOnce(&mut Begin<T>)) -> Self {
        if let Kind::Begin(begin) = &mut self.0 {
            change(begin);
        }
        self
    }

    /// Makes the call, and blocks until it ends.
    pub fn wait(self) -> Result<T> {
        match self.0 {
            Kind::Ready(result) => Ok(result),
            Kind::Begin(Begin { session, deadline, work, fallback, .. }) => {
                let work = unless_prevented(work, fallback.cancellation.clone());
                match session.block_on(&deadline, async move { Ok(work.await) }) {
                    Ok(outcome) => {
                        fallback.dismiss();
                        outcome
                    }
                    Err(without) => fallback.apply(without),
                }
            }
        }
    }
}

impl<T: Into<Answer> + Send + 'static> Call<T> {
    /// Begins the call. Its completion goes to a queue.
    pub fn submit(self, entry: Entry) -> Result<()> {
        let begin = match self.0 {
            Kind::Ready(result) => {
                entry.complete(result.into());
                return Ok(());
            }
            Kind::Begin(begin) => begin,
        };
        let Begin { session, mut deadline, work, fallback, handle, outlives_session } = begin;
        let turn = match handle {
            Some((activities, handle)) => Some(activities.registry.turn(handle)?),
            None => None,
        };
        let resolve = move |outcome: Result<Result<Answer>>| match outcome {
            Ok(outcome) => {
                fallback.dismiss();
                outcome
            }
            Err(why) => fallback.apply(why).map(Into::into),
        };
        let of_session = if outlives_session { OUTLIVES_SESSIONS } else { session.number };
        let cancellation = deadline.cancellation().share();
        let work = unless_prevented(work, cancellation.clone());
        let running = entry.begin(of_session, cancellation, Box::new(resolve));
        session.spawn(async move {
            let in_turn = async move {
                let turn = turn.map(|turn| timeout(deadline.remaining(), turn.lock_owned()));
                // Held until the work ends.
                let _turn = match turn {
                    Some(turn) => {
                        let locked = deadline.unless_cancelled(turn).await.and_then(std::result::Result::ok);
                        Some(locked.ok_or_else(earlier_call_runs)?)
                    }
                    None => None,
                };
                work.await
            };
            running.end(in_turn.await.map(Into::into));
        });
        Ok(())
    }
}

/// Does the work, unless the caller has given up before.
async fn unless_prevented<T>(work: Work<T>, cancellation: Arc<Cancellation>) -> Result<T> {
    if cancellation.begin() { work.await } else { Err(runtime::disconnected()) }
}

fn earlier_call_runs() -> Error {
    Error::new(Status::Timeout, "an earlier submitted call of this handle still runs; nothing was sent")
}

/// Begins the call; for a Rust program with any asynchronous runtime. Dropping the future cancels the call.
impl<T: Send + 'static> IntoFuture for Call<T> {
    type Output = Result<T>;
    type IntoFuture = Begun<T>;

    fn into_future(self) -> Begun<T> {
        match self.0 {
            Kind::Ready(result) => Begun::Ready(Some(result)),
            Kind::Begin(Begin { session, mut deadline, work, fallback, .. }) => {
                let (sender, outcome) = oneshot::channel();
                let cancellation = deadline.cancellation().share();
                let work = unless_prevented(work, cancellation.clone());
                session.spawn(async move { drop(sender.send(work.await)) });
                Begun::Running(Running { outcome, fallback: Some(fallback), cancellation })
            }
        }
    }
}

/// A call that has begun.
pub enum Begun<T> {
    /// The result is known; `None` once it was returned.
    Ready(Option<T>),
    /// The call runs.
    Running(Running<T>),
}

/// A call that runs.
pub struct Running<T> {
    outcome: Receiver<Result<T>>,
    /// `None` once the outcome was returned.
    fallback: Option<Fallback<T>>,
    cancellation: Arc<Cancellation>,
}

impl<T> Unpin for Begun<T> {}

impl<T: 'static> Future for Begun<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let again = || Error::new(Status::Internal, "the future was polled after its end");
        match &mut *self {
            Begun::Ready(result) => Poll::Ready(result.take().ok_or_else(again)),
            Begun::Running(running) => Pin::new(&mut running.outcome).poll(context).map(|outcome| {
                let fallback = running.fallback.take();
                match (outcome, fallback) {
                    (Ok(outcome), fallback) => {
                        fallback.into_iter().for_each(Fallback::dismiss);
                        outcome
                    }
                    (Err(_), Some(fallback)) => fallback.apply(runtime::disconnected()),
                    (Err(_), None) => Err(again()),
                }
            }),
        }
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.cancellation.cancel();
    }
}
