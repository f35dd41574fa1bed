//! The observations of one connection: whether it works, and whether given-up requests may still leave this host.

use std::time::Duration;

use tokio::{sync::Notify, time::Instant};

use crate::sys::sync::Mutex;

/// The shortest time between two PINGs without an answer between them. Servers close connections that ping more
/// often.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// A PING that is unanswered for less than this time, or for less than this many round trips, proves nothing.
const SHORTEST_SILENCE: Duration = Duration::from_millis(200);
const ROUND_TRIPS: u32 = 4;
/// Kernels resend the first packet of a connection after this time. A longer connect only shows that it was lost.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(1);

/// The observations of one connection. Its socket, its driver and its requests share them.
pub struct Liveness {
    observed: Mutex<Observed>,
    /// Wakes the task that sends PINGs.
    wanted: Notify,
    /// Makes the connection's driver abort it.
    aborted: Notify,
    /// Wakes tasks that wait for the answer to a PING or for the end of the connection.
    changed: Notify,
}

struct Observed {
    /// The longest round trip to the server's kernel: the time of the connect, or of the quickest answer.
    round_trip: Duration,
    received: Instant,
    /// Whether an answer to a request was received since the last PING.
    answered: bool,
    last_ping: Option<Instant>,
    wish: Wish,
    /// How many PINGs were sent.
    pings: u64,
    /// The number of the newest PING that was answered, from 1; 0: none.
    confirmed: u64,
    /// How many PINGs were sent before a request was last given up.
    given_up: Option<u64>,
    requests: usize,
    is_aborted: bool,
    is_closed: bool,
}

/// Whether to send a PING.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Wish {
    None,
    /// If the server's limit on PINGs allows one.
    Allowed,
    /// Regardless of that limit.
    Demanded,
}

impl Default for Liveness {
    fn default() -> Self {
        Liveness {
            observed: Mutex::new(Observed {
                round_trip: Duration::ZERO,
                received: Instant::now(),
                answered: false,
                last_ping: None,
                wish: Wish::None,
                pings: 0,
                confirmed: 0,
                given_up: None,
                requests: 0,
                is_aborted: false,
                is_closed: false,
            }),
            wanted: Notify::new(),
            aborted: Notify::new(),
            changed: Notify::new(),
        }
    }
}

impl Liveness {
    /// Notes how long the peer took to accept the connection.
    pub fn set_round_trip(&self, time: Duration) {
        self.observed.lock().round_trip = time.min(LONGEST_ROUND_TRIP);
    }

    /// Notes that bytes were received.
    pub fn received(&self) {
        self.observed.lock().received = Instant::now();
    }

    /// Notes that response headers were received, `took` after the request was sent.
    pub fn answered(&self, took: Duration) {
        let mut observed = self.observed.lock();
        observed.answered = true;
        observed.round_trip = observed.round_trip.min(took);
    }

    /// Notes a request. Its frames may be written from now on.
    pub fn begin_request(&self) {
        self.observed.lock().requests += 1;
    }

    /// Notes the end of a request. A given-up one may still be in a buffer of this host.
    pub fn end_request(&self, given_up: bool) {
        let mut observed = self.observed.lock();
        observed.requests -= 1;
        if given_up {
            observed.given_up = Some(observed.pings);
        }
    }

    /// Requests a PING if nothing was received for `silence`. It is sent if the server's limit on PINGs allows one.
    pub fn request_ping(&self, silence: Duration) {
        if self.observed.lock().received.elapsed() >= silence {
            self.wish(Wish::Allowed);
        }
    }

    /// Returns whether the connection is dead. It is if a PING is unanswered for long enough, and nothing was received for
    /// `silence`. Bytes that were received soon after the PING were on their way before, and show nothing.
    pub fn is_dead(&self, silence: Duration) -> bool {
        let observed = self.observed.lock();
        let proof = observed.longest_pong();
        let sent = observed.last_ping.filter(|_| observed.awaits_pong());
        sent.is_some_and(|sent| observed.received.elapsed() >= silence.max(proof) && sent.elapsed() >= proof)
    }

    /// Returns how many PINGs were sent. The answer to a later one shows that a request that is given up now can't leave this
    /// host any more. Times wouldn't do: two may be equal.
    pub fn pings(&self) -> u64 {
        self.observed.lock().pings
    }

    /// Returns whether a request that was given up after so many PINGs can't leave this host any more.
    pub fn is_settled(&self, pings: u64) -> bool {
        self.observed.lock().is_settled(pings)
    }

    /// Waits until that is so. Aborts the connection after `max_wait`, but not before the answer to a PING is overdue: an
    /// abort costs the other activities their requests.
    pub async fn settle(&self, pings: u64, max_wait: Duration) {
        self.wish(Wish::Demanded);
        let max_wait = max_wait.max(self.observed.lock().longest_pong());
        let settled = self.wait_until(|observed| observed.is_settled(pings));
        if tokio::time::timeout(max_wait, settled).await.is_err() {
            self.abort().await;
        }
    }

    /// Closes the connection and discards what is still in a buffer of this host. Returns when it is closed.
    pub async fn abort(&self) {
        self.observed.lock().is_aborted = true;
        self.aborted.notify_one();
        self.wait_until(|observed| observed.is_closed).await;
    }

    /// Returns whether the connection was found dead.
    pub fn is_aborted(&self) -> bool {
        self.observed.lock().is_aborted
    }

    /// If the connection is being aborted, waits until it is closed.
    pub async fn abort_completed(&self) {
        self.wait_until(|observed| observed.is_closed || !observed.is_aborted).await;
    }

    /// Returns whether the connection is closed or being closed.
    pub fn is_closed(&self) -> bool {
        let observed = self.observed.lock();
        observed.is_closed || observed.is_aborted
    }

    /// Returns whether closing must discard the socket's send buffer.
    pub fn must_discard(&self) -> bool {
        let observed = self.observed.lock();
        observed.is_aborted
            || observed.requests > 0
            || observed.given_up.is_some_and(|pings| observed.confirmed <= pings)
    }

    /// Waits for an abort. For the connection's driver.
    pub async fn abort_requested(&self) {
        while !self.is_aborted() {
            self.aborted.notified().await;
        }
    }

    /// Notes that the socket is closed. For the connection's driver.
    pub fn closed(&self) {
        self.observed.lock().is_closed = true;
        self.changed.notify_waiters();
    }

    /// Waits until a PING must be sent. For the task that sends PINGs.
    pub async fn ping_wanted(&self) {
        loop {
            {
                let mut observed = self.observed.lock();
                match observed.wish {
                    Wish::Demanded => return,
                    Wish::Allowed if observed.may_ping() => return,
                    Wish::Allowed => observed.wish = Wish::None,
                    Wish::None => {}
                }
            }
            self.wanted.notified().await;
        }
    }

    /// Notes that a PING is sent now. For the task that sends PINGs.
    pub fn ping_sent(&self) {
        let mut observed = self.observed.lock();
        observed.last_ping = Some(Instant::now());
        observed.pings += 1;
        observed.answered = false;
        observed.wish = Wish::None;
    }

    /// Notes that the last PING was answered. For the task that sends PINGs.
    pub fn pong_received(&self) {
        {
            let mut observed = self.observed.lock();
            observed.confirmed = observed.pings;
        }
        self.changed.notify_waiters();
    }

    fn wish(&self, wish: Wish) {
        let mut observed = self.observed.lock();
        if observed.wish < wish {
            observed.wish = wish;
        }
        drop(observed);
        self.wanted.notify_one();
    }

    async fn wait_until(&self, is_so: impl Fn(&Observed) -> bool) {
        loop {
            let changed = self.changed.notified();
            if is_so(&self.observed.lock()) {
                return;
            }
            changed.await;
        }
    }
}

impl Observed {
    fn is_settled(&self, pings: u64) -> bool {
        self.is_closed || self.confirmed > pings
    }

    /// Returns whether the last PING is unanswered.
    fn awaits_pong(&self) -> bool {
        self.confirmed < self.pings
    }

    /// Returns for how long the answer to a PING may be missing from a connection that works.
    fn longest_pong(&self) -> Duration {
        SHORTEST_SILENCE.max(self.round_trip * ROUND_TRIPS)
    }

    fn may_ping(&self) -> bool {
        !self.awaits_pong()
            && (self.answered || self.last_ping.is_none_or(|sent| sent.elapsed() >= PING_INTERVAL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn silent_connection_is_dead_only_after_an_unanswered_ping() {
        let liveness = Liveness::default();
        tokio::time::advance(LONG).await;
        assert!(!liveness.is_dead(Duration::ZERO), "no PING was sent");
        liveness.request_ping(Duration::from_secs(1));
        liveness.ping_wanted().await;
        liveness.ping_sent();
        assert!(!liveness.is_dead(Duration::ZERO), "the PING was sent just now");
        tokio::time::advance(SHORTEST_SILENCE).await;
        assert!(liveness.is_dead(Duration::ZERO));
        assert!(!liveness.is_dead(LONG * 2));
        liveness.received();
        assert!(!liveness.is_dead(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn connection_that_fell_silent_during_a_ping_is_dead() {
        let liveness = Liveness::default();
        liveness.ping_sent();
        tokio::time::advance(Duration::from_millis(1)).await;
        liveness.received();
        assert!(!liveness.is_dead(Duration::ZERO));
        tokio::time::advance(SHORTEST_SILENCE).await;
        assert!(!liveness.is_dead(LONG) && liveness.is_dead(SHORTEST_SILENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn connection_with_a_long_round_trip_gets_more_time() {
        let liveness = Liveness::default();
        liveness.set_round_trip(Duration::from_millis(500));
        liveness.ping_sent();
        tokio::time::advance(Duration::from_millis(1900)).await;
        assert!(!liveness.is_dead(Duration::ZERO));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(liveness.is_dead(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn lost_first_packet_does_not_lengthen_the_round_trip() {
        let liveness = Liveness::default();
        liveness.set_round_trip(Duration::from_secs(7));
        liveness.ping_sent();
        tokio::time::advance(LONGEST_ROUND_TRIP * ROUND_TRIPS).await;
        assert!(liveness.is_dead(Duration::ZERO));
        liveness.pong_received();
        liveness.answered(Duration::from_millis(1));
        liveness.ping_sent();
        tokio::time::advance(SHORTEST_SILENCE).await;
        assert!(liveness.is_dead(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn pings_obey_the_servers_rules() {
        let liveness = Liveness::default();
        let wanted =
            async || tokio::time::timeout(Duration::from_millis(1), liveness.ping_wanted()).await.is_ok();
        liveness.request_ping(Duration::ZERO);
        assert!(wanted().await);
        liveness.ping_sent();
        liveness.pong_received();
        liveness.request_ping(Duration::ZERO);
        assert!(!wanted().await, "neither ten seconds nor an answer since");
        liveness.answered(Duration::ZERO);
        liveness.request_ping(Duration::ZERO);
        assert!(wanted().await);
        liveness.ping_sent();
        liveness.pong_received();
        tokio::time::advance(PING_INTERVAL).await;
        liveness.request_ping(Duration::ZERO);
        assert!(wanted().await);
    }

    #[tokio::test(start_paused = true)]
    async fn short_call_aborts_no_connection_that_answers_a_ping_in_time() {
        let liveness = Liveness::default();
        liveness.set_round_trip(Duration::from_millis(120));
        liveness.begin_request();
        liveness.end_request(true);
        let given_up = liveness.pings();
        let pinging = async {
            liveness.ping_wanted().await;
            liveness.ping_sent();
            tokio::time::sleep(Duration::from_millis(120)).await;
            liveness.pong_received();
        };
        let settled = async { tokio::join!(liveness.settle(given_up, Duration::from_millis(25)), pinging) };
        tokio::time::timeout(LONG, settled).await.unwrap();
        assert!(liveness.is_settled(given_up) && !liveness.is_aborted());
    }

    #[tokio::test(start_paused = true)]
    async fn abandoned_request_is_settled_by_a_later_ping_or_by_closing() {
        let liveness = Liveness::default();
        liveness.begin_request();
        liveness.ping_sent();
        liveness.end_request(true);
        let given_up = liveness.pings();
        liveness.pong_received();
        assert!(!liveness.is_settled(given_up) && liveness.must_discard(), "that PING was sent before");

        let pinging = async {
            liveness.ping_wanted().await;
            liveness.ping_sent();
            liveness.pong_received();
        };
        tokio::join!(liveness.settle(given_up, LONG), pinging);
        assert!(liveness.is_settled(given_up) && !liveness.must_discard());

        let given_up = liveness.pings();
        let closing = async {
            liveness.abort_requested().await;
            liveness.closed();
        };
        tokio::join!(liveness.settle(given_up, Duration::from_secs(1)), closing);
        assert!(liveness.is_settled(given_up) && liveness.must_discard());
    }
}
