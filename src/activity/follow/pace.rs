//! Limits how often a run is polled, and how much is read.

use std::{ops::RangeInclusive, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use crate::client::backoff::Backoff;

/// The mean interval of the long polls of a run, if they end at once, and how many may follow each other without a pause. Each
/// beat of a standalone activity ends one.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
const BURST: u32 = 10;
/// An answer without news after less than this time is wrong: the server should have waited.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// The most answers with news, and the most bytes of them, that are read per run: the answers carry whole events.
const MAX_ANSWERS: u32 = 20_000;
const MAX_BYTES: usize = 64 << 20;
/// The number of events that are read at once: first, and depending on the size of the last answer.
pub const FIRST_PAGE: i32 = 50;
const PAGES: RangeInclusive<i32> = 10..=1000;
const SMALL_ANSWER: usize = 256 << 10;
const LARGE_ANSWER: usize = 1 << 20;
/// The pauses after a failed long poll. The jitter spreads the long polls of a connection that was lost.
pub const BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(2), growth: 2.0, longest: Duration::from_secs(60), jitter: 1.0 };
/// The pauses if the server allows no further long polls.
pub const LIMIT_BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(10), growth: 2.0, longest: Duration::from_secs(300), jitter: 0.5 };

/// Limits how often a run is polled, and how much is read.
pub struct Pace {
    /// When the last long poll would have begun if all had begun after their interval.
    due: Instant,
    began: Instant,
    /// How many have failed since the last success.
    pub failed: u32,
    answers: u32,
    bytes: usize,
    /// Whether the next answer is ready at the server. It is read without a pause.
    pub is_behind: bool,
}

impl Default for Pace {
    fn default() -> Self {
        let now = Instant::now();
        Pace { due: now, began: now, failed: 0, answers: 0, bytes: 0, is_behind: false }
    }
}

impl Pace {
    /// Waits until the next long poll may begin.
    pub async fn begin(&mut self) {
        if !std::mem::take(&mut self.is_behind) {
            self.due = self.due.max(Instant::now()) + POLL_INTERVAL;
            sleep_until(self.due - POLL_INTERVAL * BURST).await;
        }
        self.began = Instant::now();
    }

    /// Counts an answer with news. Returns an error above the limits.
    pub fn answered(&mut self, bytes: usize) -> Result<(), &'static str> {
        self.failed = 0;
        self.answers += 1;
        self.bytes += bytes;
        match self.answers > MAX_ANSWERS || self.bytes > MAX_BYTES {
            true => Err("its long polls return too much"),
            false => Ok(()),
        }
    }

    /// Notes the end of a long poll without news. If the server didn't wait for any, pauses as after a failure.
    pub async fn answered_without_news(&mut self) {
        match self.began.elapsed() < SHORTEST_WAIT {
            true => self.failed(&BACKOFF).await,
            false => self.failed = 0,
        }
    }

    /// Waits after a failed long poll.
    pub async fn failed(&mut self, backoff: &Backoff) {
        self.failed += 1;
        sleep(backoff.pause(self.failed)).await;
    }
}

/// Returns how many events to read next.
pub fn next_page(page: i32, bytes: usize) -> i32 {
    let page = match bytes {
        0..SMALL_ANSWER => page.saturating_mul(2),
        SMALL_ANSWER..LARGE_ANSWER => page,
        LARGE_ANSWER.. => page / 4,
    };
    page.clamp(*PAGES.start(), *PAGES.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_answers_make_pages_small_and_small_ones_large() {
        assert_eq!((next_page(50, 1000), next_page(50, 500 << 10), next_page(50, 38 << 20)), (100, 50, 12));
        assert_eq!((next_page(1000, 0), next_page(10, 38 << 20)), (1000, 10));
    }
}
