//! The calls of an activity's holder that lock its state more than once: record, close, end.

use super::{
    Activities, Began,
    handle::Handle,
    options::OpenOptions,
    state::{Activity, encode_details},
};
use crate::{
    model::{
        deadline::Deadline,
        error::{Error, Result},
        payload::{Encoding, Payloads},
        signals::Signals,
        status::Status,
    },
    sys::{self, clock::Moment},
};

/// Larger details are checked and encoded before the activity is locked. The I/O thread waits for that lock, and with it
/// the beats of all activities.
const MAX_BYTES_UNDER_LOCK: usize = 4096;

impl Activities {
    /// Opens an activity, whose beats are sent from then on. `began` is from before the client was known to be connected.
    pub fn open(&self, began: Began, token: &[u8], mut options: OpenOptions) -> Result<Handle> {
        self.rules.check("initial_details", &options.initial_details)?;
        options.require_encoded |= self.rules.require_encoded();
        options.has_codec = self.rules.has_codec();
        let activity = Activity::open(token, options, Moment::now())?;
        let due = if activity.may_be_followed() { Moment::now() } else { activity.due() };
        let handle = self.registry.insert(activity)?;
        // A disconnect before the insertion has missed this activity. Without this check the next client would send for
        // it.
        if self.has_closed_since(began) {
            let _ = self.registry.remove(handle);
            return Err(Error::new(Status::NotConnected, "disconnected while the activity was being opened"));
        }
        self.wake_at(handle, due);
        Ok(handle)
    }

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
            .with_open(handle, |activity| activity.check_usable().map(|()| activity.refuses_readable()))??;
        let mut details = Payloads::default();
        encode_details(&mut details, encoding, data, self.rules.given_size_limit(), require_encoded)?;
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
        let limit = self.rules.given_size_limit();
        let (signals, earlier) = self.registry.with_open(handle, |activity| -> Result<_> {
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
            // The scheduler doesn't watch a stalled activity for another stall.
            if let Ok(due) = self.registry.with(handle, |activity| activity.stall_due()) {
                self.wake_at(handle, due);
            }
        }
        Ok(signals)
    }

    /// Makes a handle invalid for new calls. Its activity is removed when the result is dropped.
    pub fn begin_closing(&'static self, handle: Handle) -> Result<Closing> {
        self.registry.begin_closing(handle)?;
        let closing = Closing { activities: self, handle };
        if self.registry.with(handle, |activity| activity.watched)? {
            self.watches.forget(handle.number());
        }
        Ok(closing)
    }

    /// Removes an activity whose handle is being closed. Does nothing if it was removed before, also by a disconnect.
    pub fn finish_closing(&self, handle: Handle) {
        let _ = self.registry.remove(handle);
        self.wake_tries();
        // Postponed for the same reason as in `WakeQueue::wake`.
        sys::cancellation::postponed(|| self.closed.notify_waiters());
        self.followers.wake();
    }
}

/// A handle that is being closed. Dropping it removes its activity.
pub struct Closing {
    activities: &'static Activities,
    handle: Handle,
}

impl Closing {
    /// Sends the newest record until the deadline, or nothing without one, and removes the activity.
    pub async fn close(self, deadline: Option<&Deadline>) -> Result<()> {
        let (activities, handle) = (self.activities, self.handle);
        let flushed = match (activities.registry.with(handle, |activity| activity.is_flushed())?, deadline) {
            (Ok(true), _) => Ok(()),
            (Ok(false), Some(deadline)) => activities.flush(handle, deadline).await,
            (Ok(false), None) => {
                Err(Error::new(Status::Timeout, "the timeout is 0, so the newest record wasn't sent"))
            }
            // The attempt is over: the last record is lost.
            (Err(over), _) => Err(over),
        };
        let has_lost_record =
            activities.registry.with(handle, |activity| activity.has_lost_record()).unwrap_or(false);
        match flushed {
            // Another thread ended the activity: there is nothing more to send.
            Err(error) if error.status() == Status::Ended && !has_lost_record => Ok(()),
            flushed => flushed,
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.activities.finish_closing(self.handle);
    }
}
