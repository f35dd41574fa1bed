//! The codec of the client's program, which may be slow, away, or hang.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{
    trace::Lane,
    world::{World, lock},
};
use crate::model::{
    codec::{Payload, PayloadCodec},
    error::{Error, Result},
    payload::ENCODING_KEY,
    status::Status,
};

/// The encoding of what it has encoded, and what that begins with.
const NAME: &[u8] = b"binary/sim";
const MARK: u8 = b'~';

/// What faults do to the codec.
#[derive(Default)]
pub struct State {
    /// How many faults have it fail.
    pub away: AtomicUsize,
    /// How many faults have it hang.
    pub hanging: AtomicUsize,
    changed: Notify,
    /// When the last of these faults was over.
    good_since: Mutex<Option<Instant>>,
}

impl State {
    /// A fault is over.
    pub fn mended(&self) {
        *lock(&self.good_since) = Some(Instant::now());
        self.changed.notify_waiters();
    }

    /// For how long it has had no fault.
    pub fn good_for(&self) -> Duration {
        let faults = self.away.load(Ordering::Relaxed) + self.hanging.load(Ordering::Relaxed);
        match *lock(&self.good_since) {
            _ if faults > 0 => Duration::ZERO,
            Some(since) => since.elapsed(),
            None => Duration::MAX,
        }
    }

    /// Takes the time of one conversion.
    pub async fn work(world: Arc<World>) {
        if let Some(longest) = world.plan.codec {
            sleep(world.time_between(longest / 4, longest)).await;
        }
        loop {
            let changed = world.codec.changed.notified();
            if world.codec.hanging.load(Ordering::Relaxed) == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// The codec, as the program gives it to the library.
pub struct Codec(pub Arc<World>);

impl PayloadCodec for Codec {
    fn encode(&self, payloads: Vec<Payload>) -> Result<Vec<Payload>> {
        if self.0.codec.away.load(Ordering::Relaxed) > 0 {
            self.0.log(Lane::Client, || "the codec fails".into());
            return Err(Error::new(Status::Unavailable, "the codec is away").temporary(None));
        }
        let encode = |payload: Payload| Payload {
            metadata: [(ENCODING_KEY.to_owned(), NAME.into())].into(),
            data: [&[MARK][..], &payload.data].concat().into(),
        };
        Ok(payloads.into_iter().map(encode).collect())
    }

    fn decode(&self, payloads: Vec<Payload>) -> Result<Vec<Payload>> {
        Ok(payloads)
    }
}

/// Returns the bytes that the holder recorded.
pub fn decoded(payload: &Payload) -> &[u8] {
    match payload.encoding() {
        NAME => payload.data.get(1..).unwrap_or_default(),
        _ => &payload.data,
    }
}
