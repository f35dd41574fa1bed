//! An ending call of an open activity. Either the call itself applies its outcome to the activity, or its caller does, who
//! got no outcome.

use std::sync::Arc;

use super::{
    Activities,
    handle::Handle,
    registry::Checked,
    state::{Activity, End, WaitingCall},
};
use crate::{
    client::{Client, Effort, EncodedEnding, Ending},
    model::{
        attempt::Target,
        deadline::{Deadline, Start},
        error::{Error, Result},
        status::Status,
    },
    sys::{clock::Moment, sync::Mutex},
};

/// What is sent before the ending.
pub enum Before {
    /// Nothing.
    Nothing,
    /// The newest record.
    Record,
    /// The newest record, if the server would lose it in a failure.
    RecordThatFailureLoses,
}

/// An ending call of an open activity.
pub struct EndingCall {
    activities: &'static Activities,
    handle: Handle,
    client: Arc<Client>,
    /// Whether the call reports a stall, so that it doesn't begin after progress.
    is_of_stall: bool,
    progress: Mutex<Progress>,
    /// Whether the ending itself was sent.
    start: Start,
}

#[derive(Default)]
struct Progress {
    /// Whether the activity's beats are suspended, until the outcome is applied.
    has_begun: bool,
    /// Where the request is sent.
    target: Option<Target>,
}

impl EndingCall {
    /// Creates a call that hasn't begun.
    pub fn new(activities: &'static Activities, handle: Handle, client: Arc<Client>) -> Self {
        let (progress, start) = (Mutex::default(), Start::default());
        EndingCall { activities, handle, client, is_of_stall: false, progress, start }
    }

    /// Creates a call that reports a stall.
    pub fn of_stall(activities: &'static Activities, handle: Handle, client: Arc<Client>) -> Self {
        EndingCall { is_of_stall: true, ..Self::new(activities, handle, client) }
    }

    /// Ends the activity, with its beats suspended. A failure also carries the details that the server doesn't have yet.
    pub async fn run(&self, deadline: &Deadline, before: Before, ending: Ending) -> Result<()> {
        // While the codec is slow or away, the beats continue.
        let ending = self.encode(ending, &before, deadline).await?;
        let registry = &self.activities.registry;
        let flushes = match before {
            Before::Nothing => false,
            Before::Record => true,
            Before::RecordThatFailureLoses => {
                registry.with(self.handle, |activity| activity.flushes_before_failing())?
            }
        };
        if flushes && let Err(error) = self.activities.flush(self.handle, deadline).await {
            // An earlier ending call may have ended the activity. Only the server knows.
            let is_over = error.status() == Status::NotFound;
            if !is_over || registry.with(self.handle, |activity| activity.check_may_end())?.is_err() {
                return Err(error);
            }
        }
        let begin = if self.is_of_stall { Activity::begin_stall_ending } else { Activity::begin_ending };
        registry.with(self.handle, begin)??;
        self.progress.lock().has_begun = true;
        let outcome = self.send(deadline, ending).await;
        if std::mem::take(&mut *self.progress.lock()).has_begun {
            self.apply(&outcome);
        }
        outcome
    }

    /// Encodes what the ending carries, and waits until the newest record is encoded if that is sent before or with it.
    async fn encode(&self, ending: Ending, before: &Before, deadline: &Deadline) -> Result<EncodedEnding> {
        let needs_record = matches!(ending, Ending::Fail(_)) || matches!(before, Before::Record);
        let ending = self.client.encode_ending(ending, Effort::Until(deadline)).await?;
        let registry = &self.activities.registry;
        if registry.with(self.handle, |activity| activity.requires_encoded())? {
            ending.refuse_readable()?;
        }
        if needs_record {
            self.activities.encode_newest(self.handle, deadline).await?;
        }
        Ok(ending)
    }

    async fn send(&self, deadline: &Deadline, ending: EncodedEnding) -> Result<()> {
        let call = WaitingCall::new(Moment::now(), deadline.remaining());
        let may_end = self.activities.registry.wait(self.handle, deadline, |activity| {
            let now = Moment::now();
            Ok(match activity.may_end(now)? {
                Some(end) => Checked::Found(end),
                None => Checked::Again(self.activities.nap(activity.give_up_for_ending(call, now))),
            })
        });
        let Some(End { target, unsent, verify }) = may_end.await? else {
            return Err(Error::new(
                Status::Timeout,
                "a beat is still in flight, so the activity wasn't ended",
            ));
        };
        self.progress.lock().target = Some(target.clone());
        let ending = ending.with_unsent(unsent);
        self.client.end(&target, &ending, verify, deadline, &self.start).await
    }

    /// For a caller that gets no outcome: the server may have ended the activity. Returns the error.
    pub fn abandon(&self, without: Error) -> Result<()> {
        let may_have_arrived = !self.start.prevent();
        let Progress { has_begun, target } = std::mem::take(&mut *self.progress.lock());
        if let Some(target) = target.filter(|_| may_have_arrived) {
            self.client.note_doubt(&target);
        }
        let outcome = Err(without);
        if has_begun {
            self.apply(&outcome);
        }
        outcome
    }

    fn apply(&self, outcome: &Result<()>) {
        let due = self.activities.registry.change(self.handle, |activity| {
            activity.finish_ending(outcome, Moment::now());
            activity.due()
        });
        if let Ok(due) = due {
            self.activities.wake_at(self.handle, due);
        }
        self.activities.publish_signals(self.handle);
        self.activities.followers.wake();
    }
}
