//! The calls of an activity's holder that lock its state more than once: record, close, end.

use super::{
    Activities,
    handle::Handle,
    registry::Checked,
    state::{Activity, End, WaitingCall, encode_details},
};
use crate::{
    client::Ending,
    model::{
        attempt::Target,
        deadline::{Deadline, Timeout},
        error::{Error, Result},
        payload::{Encoding, Payloads},
        signals::Signals,
        status::Status,
    },
    sys::clock::Moment,
};

/// Larger details are checked and encoded before the activity is locked. The I/O thread waits for that lock, and with it
/// the beats of all activities.
const MAX_BYTES_UNDER_LOCK: usize = 4096;

impl Activities {
    /// Records details. Returns the signals from before.
    #[inline]
    pub fn record(&self, handle: Handle, encoding: Encoding, data: &[u8]) -> Result<Signals> {
        if data.len() > MAX_BYTES_UNDER_LOCK {
            return self.record_large(handle, encoding, data);
        }
        self.progress(handle, |activity, limit, now| activity.record(encoding, data, limit, now))
    }

    #[cold]
    fn record_large(&self, handle: Handle, encoding: Encoding, data: &[u8]) -> Result<Signals> {
        let require_encoded = self
            .registry
            .with(handle, |activity| activity.check_usable().map(|()| activity.requires_encoded()))??;
        let mut details = Payloads::default();
        encode_details(&mut details, encoding, data, self.rules.size_limit(), require_encoded)?;
        self.progress(handle, |activity, _, now| activity.record_encoded(&mut details, now))
    }

    /// Changes the progress of an activity, and wakes the scheduler if `change` returns that the activity is due earlier. Returns the signals
    /// from before.
    #[inline]
    pub fn progress(
        &self,
        handle: Handle,
        change: impl FnOnce(&mut Activity, usize, Moment) -> Result<bool>,
    ) -> Result<Signals> {
        let limit = self.rules.size_limit();
        let (signals, earlier) = self.registry.with(handle, |activity| -> Result<_> {
            let now = Moment::now();
            // Read first: after a freeze the caller must see a signal such as LEASE_LOST before it does more work.
            let signals = activity.signals(now);
            let earlier = change(activity, limit, now)?;
            Ok((signals, earlier.then(|| activity.due())))
        })??;
        if let Some(due) = earlier {
            self.wake_at(handle, due);
        }
        if signals.intersects(Signals::CLEARED_BY_PROGRESS) {
            self.publish_signals(handle);
        }
        Ok(signals)
    }

    /// Sends the newest record within `timeout`, and closes the handle. The handle is closed even if this returns an error.
    pub fn close(&self, handle: Handle, timeout: Timeout) -> Result<()> {
        self.in_call(|| self.close_in_call(handle, timeout))
    }

    fn close_in_call(&self, handle: Handle, timeout: Timeout) -> Result<()> {
        let flushed = match (self.registry.with(handle, |activity| activity.is_flushed())?, timeout.start()) {
            (Ok(true), _) => Ok(()),
            (Ok(false), Some(deadline)) => self.flush(handle, deadline),
            (Ok(false), None) => {
                Err(Error::new(Status::Timeout, "the timeout is 0, so the newest record wasn't sent"))
            }
            // The attempt is over: the last record is lost.
            (Err(over), _) => Err(over),
        };
        let closed = self.registry.remove(handle)?;
        self.wake_tries();
        if closed.watched {
            self.watches.forget(handle.number());
        }
        match flushed {
            // Another thread ended the activity: there is nothing more to send.
            Err(error) if error.status() == Status::Ended => Ok(()),
            flushed => flushed,
        }
    }

    /// Ends an activity by the request that `send` makes, with its beats suspended. `ending` takes the details that the server doesn't
    /// have yet. `send` gets the target, the ending, and whether to look the activity up if its end is in doubt.
    pub fn end(
        &self,
        handle: Handle,
        deadline: Deadline,
        ending: impl FnOnce(Option<Payloads>) -> Ending,
        send: impl FnOnce(Target, Ending, bool) -> Result<()>,
    ) -> Result<()> {
        self.in_call(|| self.end_in_call(handle, deadline, ending, send))
    }

    fn end_in_call(
        &self,
        handle: Handle,
        deadline: Deadline,
        ending: impl FnOnce(Option<Payloads>) -> Ending,
        send: impl FnOnce(Target, Ending, bool) -> Result<()>,
    ) -> Result<()> {
        self.registry.with(handle, Activity::begin_ending)??;

        let call = WaitingCall::new(Moment::now(), deadline.remaining());
        let may_end = self.registry.wait(handle, deadline, |activity| {
            let now = Moment::now();
            Ok(match activity.may_end(now)? {
                Some(end) => Checked::Found(end),
                None => Checked::Again(self.nap(activity.give_up_for_ending(call, now))),
            })
        });
        let outcome = match may_end {
            Ok(Some(End { target, unsent, verify })) => send(target, ending(unsent), verify),
            Ok(None) => {
                Err(Error::new(Status::Timeout, "a beat is still in flight, so the activity wasn't ended"))
            }
            Err(error) => Err(error),
        };
        let due = self.registry.change(handle, |activity| {
            activity.finish_ending(&outcome, Moment::now()).then(|| activity.due())
        });
        if let Ok(Some(due)) = due {
            self.wake_at(handle, due);
        }
        self.publish_signals(handle);
        outcome
    }
}
