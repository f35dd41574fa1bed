//! Answers the questions of `tests/sim/compare` about the model. A question and an answer are one line each. libtest also prints lines.

use std::{
    io::{BufRead, Write},
    str::SplitWhitespace,
    time::Duration,
};

use prost::Message;

use super::{
    operator::Operation,
    request::{Answer, Request},
    temporal::{Activity, State, Temporal},
};
use crate::{proto::temporal::api::workflowservice::v1::PollActivityTaskQueueResponse, sys::clock::Moment};

/// Timers fire exactly, because the comparison waits until the real server's timer has fired.
const TIMER_DELAY: Duration = Duration::ZERO;
/// The clock of each activity when it is scheduled, in Unix time.
const UNIX: Duration = Duration::from_secs(1_700_000_000);

/// The model with a clock for each activity. Only questions advance the clocks.
#[derive(Default)]
struct Model {
    temporal: Temporal,
    clocks: Vec<Duration>,
}

impl Model {
    fn answer(&mut self, words: &mut SplitWhitespace) -> Answer {
        let mut word = || words.next().unwrap();
        let question = word();
        match question {
            "server" => {
                let (version, size_limit) = (word().parse().unwrap(), word().parse().unwrap());
                self.temporal = Temporal { version, size_limit, ..Temporal::default() };
                self.clocks.clear();
                Ok(Vec::new())
            }
            "activity" => {
                let number = self.clocks.len();
                let (is_standalone, timeout) = (word() == "standalone", milliseconds(word()));
                let activity = Activity::new(number, is_standalone, timeout, word().parse().unwrap());
                self.temporal.activities.push(activity);
                self.clocks.push(UNIX);
                Ok(number.to_string().into_bytes())
            }
            "call" => {
                let request = Request::read(word(), &from_hex(words.next().unwrap_or_default()));
                let now = request.activity().and_then(|number| self.clocks.get(number)).map(moment);
                self.temporal.apply(&request, now.unwrap_or_default(), TIMER_DELAY).0
            }
            _ => {
                let number = word().parse().unwrap();
                self.answer_about(question, number, words)
            }
        }
    }

    fn answer_about(&mut self, question: &str, number: usize, words: &mut SplitWhitespace) -> Answer {
        let clock = &mut self.clocks[number];
        match question {
            "operate" => self.temporal.operate(number, operation(words)),
            // Answers like a poll. Without a token in the answer, no attempt may start.
            "start" => {
                // Each attempt must have another start time.
                *clock += Duration::from_millis(1);
                let activity = &mut self.temporal.activities[number];
                if !activity.may_start(moment(clock)) {
                    return Ok(PollActivityTaskQueueResponse::default().encode_to_vec());
                }
                activity.start(words.next().unwrap(), *clock, moment(clock), TIMER_DELAY);
                Ok(activity.task().encode_to_vec())
            }
            "wait" => {
                *clock += milliseconds(words.next().unwrap());
                let activity = &mut self.temporal.activities[number];
                if activity.expires() <= moment(clock) {
                    activity.time_out(moment(clock));
                }
                Ok(Vec::new())
            }
            // Answers with the state, whether an attempt may start, and the milliseconds until the heartbeat timer fires.
            "look" => {
                let activity = &self.temporal.activities[number];
                let state = match activity.state {
                    State::Running => "running",
                    State::Waiting => "waiting",
                    _ => "over",
                };
                let expires = match activity.expires() {
                    Moment::NEVER => "never".into(),
                    at => at.since(moment(clock)).as_millis().to_string(),
                };
                let may_start = u8::from(activity.may_start(moment(clock)));
                Ok(format!("{state} {may_start} {expires}").into_bytes())
            }
            _ => panic!("unknown question: {question}"),
        }
    }
}

fn operation(words: &mut SplitWhitespace) -> Operation {
    let (name, options): (_, Vec<_>) = (words.next().unwrap(), words.collect());
    let is_set = |option| options.contains(&option);
    let erases_details = is_set("erase");
    match name {
        "cancel" => Operation::Cancel,
        "pause" => Operation::Pause,
        "unpause" => Operation::Unpause { erases_details, restarts_count: is_set("restart") },
        "reset" => Operation::Reset { erases_details, keeps_paused: is_set("keep_paused") },
        "set_timeout" => Operation::SetTimeout(milliseconds(options[0])),
        "terminate" => Operation::Terminate,
        _ => panic!("unknown operation: {name}"),
    }
}

fn milliseconds(word: &str) -> Duration {
    Duration::from_millis(word.parse().unwrap())
}

fn moment(clock: &Duration) -> Moment {
    Moment::default().later(*clock)
}

fn from_hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
#[ignore = "answers the questions of tests/sim/compare"]
fn answers_questions() {
    let (mut model, mut out) = (Model::default(), std::io::stdout());
    writeln!(out, "\nready").unwrap();
    for line in std::io::stdin().lock().lines() {
        let (code, bytes) = match model.answer(&mut line.unwrap().split_whitespace()) {
            Ok(message) => (0, message),
            Err(refusal) => (refusal.code, refusal.details),
        };
        writeln!(out, "answer {code} {}", to_hex(&bytes)).unwrap();
        out.flush().unwrap();
    }
}
