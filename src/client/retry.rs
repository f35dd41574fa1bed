//! When to try again, and when to give up.

use std::time::{Duration, Instant};

use prost::Message;

use super::rpc_error::{Cure, Setback};
use crate::{
    config::Retry,
    model::{
        deadline::Deadline,
        error::Error,
        method::{Call, Method},
        status::Status,
    },
    telemetry::log_record::{Event, Value},
    transport::{Frame, Miss, Predecessor, Transport, TryLimits, TryTime},
};

/// The shortest pause when the server asks for fewer requests.
const SLOW_PAUSE: Duration = Duration::from_secs(1);
/// The least that one try gets, where that much is left, and the most, unless the server was seen to be slower.
const SHORTEST_TRY: Duration = Duration::from_millis(500);
const LONGEST_TRY: Duration = Duration::from_secs(10);
/// A try waits for this many times the longest recent answer.
const ANSWER_MARGIN: u32 = 2;
/// How long a connection may be silent during a try: this part of the time that is left, within bounds.
const SILENCE_PART: u32 = 4;
const SHORTEST_SILENCE: Duration = Duration::from_millis(500);
const LONGEST_SILENCE: Duration = Duration::from_millis(2500);
/// The most that a pause leaves for a last try, and which part of the whole time that is when it is short.
const LAST_TRY: Duration = Duration::from_millis(200);
const LAST_TRY_PART: u32 = 10;

/// A call that failed for good, or for longer than its deadline.
#[derive(Debug)]
pub struct Failed {
    /// For the caller.
    pub error: Error,
    /// Whether a try before the last may have been applied: its answer was lost.
    pub perhaps_applied: bool,
    /// Whether that was so because the connection was found dead by another request.
    pub aborted: bool,
}

/// Makes the call until it succeeds, fails for good, or the deadline is over. Before that each try gets half of what is left, within bounds:
/// a request that the server has lost must not use up all of it.
pub async fn call<Request, Response>(
    transport: &Transport,
    method: &Method<Request, Response>,
    request: &Request,
    policy: &Retry,
    deadline: Deadline,
    predecessor: &mut Predecessor,
) -> Result<Response, Failed>
where
    Request: Message,
    Response: Message + Default,
{
    let request = Frame::plain(request);
    let mut effort = Effort::new(*policy, deadline);
    loop {
        let limits = time_of_try(deadline, transport.longest_answer()).from_now();
        let outcome = transport.unary(method.call, request.clone(), limits, predecessor).await;
        let pause = match outcome {
            Ok(response) => {
                return Response::decode(response)
                    .map_err(|why| effort.failed(Setback::unreadable(method.call.name, &why).error));
            }
            Err(miss) => {
                let ended = matches!(miss, Miss::Lost(_) | Miss::Unseen(_) | Miss::Aborted(_));
                let setback = Setback::from(miss);
                report(transport, method.call, &setback);
                effort.learn(ended, setback)?
            }
        };
        match effort.fit(pause) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(effort.give_up(transport)),
        }
    }
}

/// Makes one try of the call.
pub async fn once<Request, Response>(
    transport: &Transport,
    method: &Method<Request, Response>,
    request: &Request,
    limits: TryLimits,
    predecessor: &mut Predecessor,
) -> Result<Response, Setback>
where
    Request: Message,
    Response: Message + Default,
{
    let response =
        transport.unary(method.call, Frame::plain(request), limits, predecessor).await.map_err(|miss| {
            let setback = Setback::from(miss);
            report(transport, method.call, &setback);
            setback
        })?;
    Response::decode(response).map_err(|why| Setback::unreadable(method.call.name, &why))
}

/// Tells those who look on of a try that failed.
fn report(transport: &Transport, call: Call, setback: &Setback) {
    let may_pass = setback.cure != Cure::None;
    let event = if may_pass { Event::RequestFailed } else { Event::RequestRefused };
    let status = setback.error.status().name().to_string_lossy();
    let fields = &[("operation", Value::Text(call.name)), ("status", Value::Text(&status))];
    transport.telemetry().journal.tell(event, fields, || setback.error.message().to_owned());
}

/// How long a try may take that starts now, at a server whose answers took up to `longest_answer` recently.
pub fn time_of_try(deadline: Deadline, longest_answer: Duration) -> TryTime {
    let left = deadline.remaining();
    let answer = (left / 2).clamp(SHORTEST_TRY, LONGEST_TRY).max(longest_answer * ANSWER_MARGIN).min(left);
    let silence = (left / SILENCE_PART).clamp(SHORTEST_SILENCE, LONGEST_SILENCE).min(answer);
    TryTime { answer, silence }
}

/// What to do before the next try.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pause {
    /// Try again at once.
    None,
    /// Wait, or less if time is short.
    For(Duration),
    /// Wait, for the server asked for it.
    Full(Duration),
}

/// What the tries of one call have come to so far.
struct Effort {
    started: Instant,
    deadline: Deadline,
    /// What a pause leaves for a last try.
    last_try: Duration,
    tries: u32,
    max_tries: u32,
    pauses: Pauses,
    last_answer: Option<Error>,
    perhaps_applied: bool,
    aborted: bool,
}

impl Effort {
    fn new(policy: Retry, deadline: Deadline) -> Self {
        Effort {
            started: Instant::now(),
            deadline,
            last_try: (deadline.remaining() / LAST_TRY_PART).min(LAST_TRY),
            tries: 0,
            max_tries: policy.max_tries,
            pauses: Pauses::new(policy),
            last_answer: None,
            perhaps_applied: false,
            aborted: false,
        }
    }

    /// Takes in a try that brought no response: what to do about it, unless there is nothing to be done.
    fn learn(&mut self, connection_ended: bool, setback: Setback) -> Result<Pause, Failed> {
        self.tries += 1;
        if matches!(setback.cure, Cure::None | Cure::Renewal) {
            return Err(self.failed(setback.error));
        }
        self.perhaps_applied |= setback.perhaps_applied;
        self.aborted |= setback.aborted;
        // A timeout isn't a server answer; keep the previous one.
        if setback.error.status() != Status::Timeout {
            self.last_answer = Some(setback.error);
        }
        Ok(match setback.cure {
            _ if setback.late || setback.aborted => Pause::None,
            // Connections end in the normal course of things; the first new one is worth no pause.
            _ if connection_ended && self.tries == 1 => Pause::None,
            Cure::RetrySlowly => Pause::Full(self.pauses.next_slow()),
            Cure::Retry | Cure::None | Cure::Renewal => Pause::For(self.pauses.next()),
        })
    }

    /// The pause as it fits into what is left of the time, if it does.
    fn fit(&self, pause: Pause) -> Option<Duration> {
        let left = self.deadline.remaining();
        let pause = match pause {
            Pause::None => Duration::ZERO,
            Pause::For(pause) => pause.min(left.saturating_sub(self.last_try)),
            Pause::Full(pause) => pause,
        };
        (self.tries < self.max_tries && left > self.last_try && left > pause).then_some(pause)
    }

    fn give_up(&mut self, transport: &Transport) -> Failed {
        let peer = transport.peer();
        let times = if self.tries == 1 { "1 try".to_owned() } else { format!("{} tries", self.tries) };
        let effort =
            format!("gave up on {peer} after {times} in {:.1} s", self.started.elapsed().as_secs_f64());
        let error = match self.last_answer.take() {
            Some(error) => error.because(effort),
            None => {
                let addresses = transport.unanswered_addresses();
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                let at = match addresses.join(", ") {
                    none if none.is_empty() => String::new(),
                    addresses => format!(", without a connection to {addresses}"),
                };
                Error::new(Status::Timeout, format!("no answer from the server; {effort}{at}"))
            }
        };
        self.failed(error)
    }

    fn failed(&self, error: Error) -> Failed {
        Failed { error, perhaps_applied: self.perhaps_applied, aborted: self.aborted }
    }
}

/// The pauses between tries, each longer than the one before. They are shorter by a random part, so that many who failed
/// together don't come back together.
pub struct Pauses {
    policy: Retry,
    next: Duration,
}

impl Pauses {
    /// Before any failed try.
    pub fn new(policy: Retry) -> Self {
        Pauses { policy, next: policy.first_pause.min(policy.longest_pause) }
    }

    /// The next one.
    pub fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.mul_f64(self.policy.growth).min(self.policy.longest_pause);
        pause.mul_f64(1.0 - self.policy.jitter * fastrand::f64())
    }

    /// The next one, after a server asked for fewer requests: at least this, so it is jittered the other way.
    pub fn next_slow(&mut self) -> Duration {
        SLOW_PAUSE.max(self.next()).mul_f64(1.0 + self.policy.jitter * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Retry = Retry {
        first_pause: Duration::from_millis(100),
        growth: 1.7,
        longest_pause: Duration::from_secs(2),
        jitter: 0.3,
        max_tries: 3,
    };

    #[test]
    fn pauses_grow_from_the_first_to_the_longest() {
        let mut pauses = Pauses::new(POLICY);
        let first = pauses.next();
        assert!(first <= POLICY.first_pause && first >= POLICY.first_pause.mul_f64(0.7));
        let last = (0..20).map(|_| pauses.next()).last().unwrap();
        assert!(last <= POLICY.longest_pause && last >= POLICY.longest_pause.mul_f64(0.7));
    }

    #[test]
    fn a_server_that_asks_for_less_is_left_alone_for_a_second() {
        assert!(Pauses::new(POLICY).next_slow() >= SLOW_PAUSE);
    }

    #[test]
    fn tries_come_to_an_end_where_they_are_counted() {
        let mut effort = Effort::new(POLICY, Deadline::within(Duration::from_secs(60)));
        let lost = || Setback::from(Miss::Lost(Error::new(Status::Unavailable, "gone")));
        for more in [true, true, false] {
            let pause = effort.learn(true, lost()).unwrap();
            assert_eq!(effort.fit(pause).is_some(), more);
        }
    }
}
