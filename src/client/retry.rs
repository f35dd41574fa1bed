//! Retries a request until it succeeds, fails permanently, or times out.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    backoff::Backoff,
    order::InOrder,
    rpc_error::{Retry, RpcError},
};
use crate::{
    config::RetryPolicy,
    model::{deadline::Deadline, error::Error, method::Call, status::Status},
    telemetry::log_record::{Event, Value},
    transport::{Frame, Transport, TryLimits, TryTime},
};

/// The shortest time of a try, if that much is left, and the longest, unless the server was slower.
const SHORTEST_TRY: Duration = Duration::from_millis(500);
const LONGEST_TRY: Duration = Duration::from_secs(10);
/// A try waits for this many times the longest recent answer time.
const ANSWER_MARGIN: u32 = 2;
/// How long a connection may receive nothing during a try: this part of the time that is left, within bounds.
const SILENCE_PART: u32 = 4;
const SHORTEST_SILENCE: Duration = Duration::from_millis(500);
const LONGEST_SILENCE: Duration = Duration::from_millis(2500);
/// The most time that a pause leaves for a last try, and its part of the whole time if that is short.
const LAST_TRY: Duration = Duration::from_millis(200);
const LAST_TRY_PART: u32 = 10;

/// Makes the call until it succeeds, fails permanently, or reaches the deadline. Each try gets half of what is left,
/// within bounds: a request that the server has lost must not use up all of it.
pub async fn call(
    transport: &Transport,
    (call, request): (Call, Frame),
    policy: &RetryPolicy,
    deadline: &Deadline,
    order: &mut InOrder<'_>,
) -> Result<Bytes, RpcError> {
    let mut tries = Tries::new(*policy, deadline);
    loop {
        let limits = time_of_try(deadline, transport.longest_answer()).start();
        let answered = {
            // Pinned here, because moving such a large future costs time.
            let answer = pin!(once(transport, (call, request.clone()), limits, order));
            deadline.unless_cancelled(answer).await
        };
        let error = match answered {
            Some(Ok(response)) => return Ok(response),
            Some(Err(error)) => error,
            None => RpcError::cancelled(),
        };
        let timed_out = error.timed_out;
        let pause = tries.failed(error)?;
        // One retry at once keeps no other call waiting for long: connections end in the normal course of things.
        if (timed_out || tries.failed > 1) && order.is_awaited() {
            return Err(tries.yield_to_next());
        }
        match tries.fit(pause) {
            Some(pause) => drop(deadline.unless_cancelled(tokio::time::sleep(pause)).await),
            None => return Err(tries.give_up(transport)),
        }
    }
}

/// Makes one try of the call.
pub async fn once(
    transport: &Transport,
    (call, request): (Call, Frame),
    limits: TryLimits,
    order: &mut InOrder<'_>,
) -> Result<Bytes, RpcError> {
    transport.unary(call, request, limits, order.predecessor).await.map_err(|error| {
        let error = RpcError::from(error);
        log_failure(transport, call, &error);
        error
    })
}

fn log_failure(transport: &Transport, call: Call, error: &RpcError) {
    let event = if error.retry == Retry::Never { Event::RequestRefused } else { Event::RequestFailed };
    let status = error.error.status().name().to_string_lossy();
    let fields = &[("operation", Value::Text(call.name)), ("status", Value::Text(&status))];
    transport.telemetry().log.write(event, fields, || error.error.message().to_owned());
}

/// Returns the time limits of a try that starts now, given the longest recent answer time of the server.
pub fn time_of_try(deadline: &Deadline, longest_answer: Duration) -> TryTime {
    let left = deadline.remaining();
    let answer = (left / 2).clamp(SHORTEST_TRY, LONGEST_TRY).max(longest_answer * ANSWER_MARGIN).min(left);
    let silence = (left / SILENCE_PART).clamp(SHORTEST_SILENCE, LONGEST_SILENCE).min(answer);
    TryTime { answer, silence }
}

/// The pause before the next try.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pause {
    /// No pause.
    None,
    /// This long, or less if time is short.
    For(Duration),
    /// This long in full, because the server requested it.
    Full(Duration),
}

/// The tries of one call so far.
struct Tries<'a> {
    started: Instant,
    deadline: &'a Deadline,
    /// The time that a pause leaves for a last try.
    last_try: Duration,
    failed: u32,
    policy: RetryPolicy,
    /// The last error that isn't a timeout.
    last_error: Option<Error>,
    outcome_unknown: bool,
    connection_aborted: bool,
}

impl<'a> Tries<'a> {
    fn new(policy: RetryPolicy, deadline: &'a Deadline) -> Self {
        Tries {
            started: Instant::now(),
            deadline,
            last_try: (deadline.remaining() / LAST_TRY_PART).min(LAST_TRY),
            failed: 0,
            policy,
            last_error: None,
            outcome_unknown: false,
            connection_aborted: false,
        }
    }

    /// Counts a try without a response. Returns the pause before the next one, or the error if another try can't
    /// help.
    fn failed(&mut self, error: RpcError) -> Result<Pause, RpcError> {
        self.failed += 1;
        self.outcome_unknown |= error.outcome_unknown;
        self.connection_aborted |= error.connection_aborted;
        if matches!(error.retry, Retry::Never | Retry::WithOtherCredentials) {
            return Err(self.finish(error.error));
        }
        // A timeout isn't a server answer; keep the previous one.
        if error.error.status() != Status::Timeout {
            self.last_error = Some(error.error);
        }
        let backoff = Backoff::from(self.policy);
        Ok(match error.retry {
            _ if error.timed_out || error.connection_aborted => Pause::None,
            // Connections end in normal operation, so the first retry on a new one needs no pause.
            _ if error.connection_ended && self.failed == 1 => Pause::None,
            Retry::Slowly => Pause::Full(backoff.slow_pause(self.failed)),
            Retry::Soon | Retry::Never | Retry::WithOtherCredentials => {
                Pause::For(backoff.pause(self.failed))
            }
        })
    }

    /// Returns the pause, shortened to the time that is left. Returns `None` if it doesn't fit.
    fn fit(&self, pause: Pause) -> Option<Duration> {
        let left = self.deadline.remaining();
        let pause = match pause {
            Pause::None => Duration::ZERO,
            Pause::For(pause) => pause.min(left.saturating_sub(self.last_try)),
            Pause::Full(pause) => pause,
        };
        (self.failed < self.policy.max_tries && left > self.last_try && left > pause).then_some(pause)
    }

    fn yield_to_next(&mut self) -> RpcError {
        let why = "a newer call for the activity is waiting, so this one isn't retried";
        let error = match self.last_error.take() {
            Some(error) => error.with_context(why),
            None => Error::new(Status::Timeout, format!("no answer from the server; {why}")),
        };
        self.finish(error)
    }

    fn give_up(&mut self, transport: &Transport) -> RpcError {
        let peer = transport.peer();
        let times = if self.failed == 1 { "1 try".to_owned() } else { format!("{} tries", self.failed) };
        let seconds = self.started.elapsed().as_secs_f64();
        let tries = format!("gave up on {peer} after {times} in {seconds:.1} s");
        let error = match self.last_error.take() {
            Some(error) => error.with_context(tries),
            None => {
                let addresses: Vec<_> =
                    transport.unanswered_addresses().iter().map(ToString::to_string).collect();
                let at = match addresses.join(", ") {
                    none if none.is_empty() => none,
                    addresses => format!(", without a connection to {addresses}"),
                };
                Error::new(Status::Timeout, format!("no answer from the server; {tries}{at}"))
            }
        };
        self.finish(error)
    }

    fn finish(&self, error: Error) -> RpcError {
        RpcError {
            outcome_unknown: self.outcome_unknown,
            connection_aborted: self.connection_aborted,
            ..RpcError::permanent(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::TransportError;

    const POLICY: RetryPolicy = RetryPolicy {
        first_pause: Duration::from_millis(100),
        growth: 1.7,
        longest_pause: Duration::from_secs(2),
        jitter: 0.3,
        max_tries: 3,
    };

    #[test]
    fn number_of_tries_is_limited() {
        let deadline = Deadline::within(Duration::from_secs(60));
        let mut tries = Tries::new(POLICY, &deadline);
        let lost = || RpcError::from(TransportError::OutcomeUnknown(Error::new(Status::Unavailable, "gone")));
        for more in [true, true, false] {
            let pause = tries.failed(lost()).unwrap();
            assert_eq!(tries.fit(pause).is_some(), more);
        }
    }
}
