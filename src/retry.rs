//! When to try again, and when to give up.

use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;

use crate::{
    deadline::Deadline,
    error::Error,
    refusal::{Cure, Refusal},
    status::Status,
    transport::{Method, Miss, Transport},
};

/// The pause after the first failed try.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// By how much each pause is longer than the one before.
const PAUSE_GROWTH: f64 = 1.7;
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The shortest pause when the server asks for fewer requests.
const SLOW_PAUSE: Duration = Duration::from_secs(1);
/// Pauses are up to this part shorter, so that many who failed together don't come back together.
const JITTER: f64 = 0.3;
/// The least that one try gets, where that much is left, and the most.
const SHORTEST_TRY: Duration = Duration::from_millis(500);
const LONGEST_TRY: Duration = Duration::from_secs(10);
/// The most that a pause leaves for a last try, and which part of the whole time that is when it is short.
const LAST_TRY: Duration = Duration::from_millis(200);
const LAST_TRY_PART: u32 = 10;

/// A call that failed for good, or for longer than its deadline.
#[derive(Debug)]
pub struct Failed {
    /// For the caller.
    pub error: Error,
    /// Whether a try before the one that gave `error` may have been applied: its answer was lost.
    pub earlier_perhaps_applied: bool,
    /// Whether any try may have been applied.
    pub perhaps_applied: bool,
}

/// Makes the call until it succeeds, fails for good, or the deadline is over. Before that each try gets half of what is
/// left, within bounds: a connection that went silent must not use up all of it.
pub async fn call<Request, Response>(
    transport: &Transport,
    method: &Method<Request, Response>,
    request: &Request,
    deadline: Deadline,
) -> Result<Response, Failed>
where
    Request: Message,
    Response: Message + Default,
{
    let started = Instant::now();
    let last_try = (deadline.remaining() / LAST_TRY_PART).min(LAST_TRY);
    let request = Bytes::from(request.encode_to_vec());
    let mut tries = 0_u32;
    let mut pauses = Pauses::new();
    let mut perhaps_applied = false;
    let mut last_answer = None;

    loop {
        let left = deadline.remaining();
        let patience = (left / 2).clamp(SHORTEST_TRY, LONGEST_TRY).min(left);
        let outcome = transport.unary(method.path, request.clone(), Instant::now() + patience).await;
        tries += 1;

        let earlier_perhaps_applied = perhaps_applied;
        let mut slowly = false;
        let pause = match outcome {
            Ok(response) => match Response::decode(response) {
                Ok(response) => return Ok(response),
                Err(why) => {
                    let error = Error::new(
                        Status::ServerError,
                        format!("the server's answer to {} can't be read: {why}", method.name),
                    );
                    return Err(Failed { error, earlier_perhaps_applied, perhaps_applied: true });
                }
            },
            Err(Miss::Refused(answer)) => {
                let refusal = Refusal::read(&answer);
                if refusal.cure == Cure::None {
                    let error = refusal.error;
                    return Err(Failed { error, earlier_perhaps_applied, perhaps_applied });
                }
                perhaps_applied |= refusal.perhaps_applied;
                if refusal.error.status() != Status::Timeout {
                    last_answer = Some(refusal.error);
                }
                slowly = refusal.cure == Cure::RetrySlowly;
                if slowly { pauses.next_slow() } else { pauses.next() }
            }
            Err(Miss::Unsent(error)) => {
                last_answer = Some(error);
                pauses.next()
            }
            Err(Miss::Lost(error)) => {
                perhaps_applied = true;
                last_answer = Some(error);
                // Connections end in the normal course of things; the first new one is worth no pause.
                if tries == 1 { Duration::ZERO } else { pauses.next() }
            }
            Err(Miss::Late { sent }) => {
                perhaps_applied |= sent;
                transport.renew();
                Duration::ZERO
            }
        };

        // A pause that would eat up all that is left is shortened, so that there is a last try; but not one that the
        // server asked for.
        let left = deadline.remaining();
        let pause = if slowly { pause } else { pause.min(left.saturating_sub(last_try)) };
        if left <= last_try || pause >= left {
            let error = gave_up(last_answer, transport.peer(), tries, started.elapsed());
            return Err(Failed { error, earlier_perhaps_applied: perhaps_applied, perhaps_applied });
        }
        tokio::time::sleep(pause).await;
    }
}

fn gave_up(last_answer: Option<Error>, peer: &str, tries: u32, after: Duration) -> Error {
    let times = if tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") };
    let effort = format!("gave up on {peer} after {times} in {:.1} s", after.as_secs_f64());
    match last_answer {
        Some(error) => error.because(effort),
        None => Error::new(Status::Timeout, format!("no answer from the server; {effort}")),
    }
}

/// The pauses between tries, each longer than the one before.
struct Pauses {
    next: Duration,
}

impl Pauses {
    fn new() -> Self {
        Pauses { next: FIRST_PAUSE }
    }

    fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.mul_f64(PAUSE_GROWTH).min(LONGEST_PAUSE);
        pause.mul_f64(1.0 - JITTER * fastrand::f64())
    }

    /// Jittered the other way: the server asked for at least this.
    fn next_slow(&mut self) -> Duration {
        SLOW_PAUSE.max(self.next()).mul_f64(1.0 + JITTER * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_a_tenth_of_a_second_to_two_seconds() {
        let mut pauses = Pauses::new();
        let first = pauses.next();
        assert!(first <= FIRST_PAUSE && first >= FIRST_PAUSE.mul_f64(1.0 - JITTER));
        let last = (0..20).map(|_| pauses.next()).last().unwrap();
        assert!(last <= LONGEST_PAUSE && last >= LONGEST_PAUSE.mul_f64(1.0 - JITTER));
    }

    #[test]
    fn a_server_that_asks_for_less_is_left_alone_for_a_second() {
        assert!(Pauses::new().next_slow() >= SLOW_PAUSE);
    }
}
