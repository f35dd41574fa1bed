//! Threads that get in each other's way with one activity.

use std::{thread, time::Duration};

use temporal_heartbeat::{
    deadline::Timeout, error::Error, held, payload::Encoding, signals::Signals, status::Status,
};

use crate::fake::{Answer, Fake, TOKEN, tally};

const BEAT: &str = "RecordActivityTaskHeartbeat";
const LONG: Timeout = Timeout::Within(Duration::from_secs(30));
const NO_SEED: &[u8] = b"{\"heartbeat_timeout_ms\":60000,\"initial_details\":\"\"}";

fn record(handle: u64, json: &str) -> Result<Signals, Error> {
    held::record(handle, Encoding::Json, json.as_bytes())
}

/// A token of its own for each number.
fn token(number: u8) -> Vec<u8> {
    [TOKEN, &[0x3a, 1, number]].concat()
}

/// Calls until it is refused; why.
fn until_refused<T>(mut call: impl FnMut() -> Result<T, Error>) -> Status {
    loop {
        if let Err(error) = call() {
            return error.status();
        }
    }
}

#[test]
fn a_handle_may_be_closed_while_others_record_wait_and_flush() {
    let fake = Fake::connected(|_| Answer::ok());
    for round in 0..100 {
        let handle = held::open(&token(round), NO_SEED).unwrap();
        let json = format!("\"round {round}\"");
        let statuses: Vec<_> = thread::scope(|scope| {
            let others = [
                scope.spawn(|| until_refused(|| record(handle, &json))),
                scope.spawn(|| until_refused(|| record(handle, &json))),
                scope.spawn(|| until_refused(|| held::touch(handle))),
                scope.spawn(|| until_refused(|| held::flush(handle, LONG))),
                scope.spawn(|| until_refused(|| held::info(handle))),
                scope.spawn(|| {
                    until_refused(|| {
                        held::wait(handle, Signals::PAUSED, Signals::default(), Timeout::Forever)
                    })
                }),
            ];
            fake.wait_for(BEAT, usize::from(round) + 1);
            if round % 2 == 0 {
                // Although there is always something newer.
                held::close(handle, LONG).unwrap();
            } else {
                let _ = held::close(handle, Timeout::Zero);
            }
            others.into_iter().map(|other| other.join().unwrap()).collect()
        });
        assert_eq!(tally(statuses), [("THB_INVALID_HANDLE".to_owned(), 6)].into());
    }
    // The rounds had one slot after the other, and no late call of one landed in the next.
    for call in fake.calls(BEAT) {
        let round = (0..100).find(|round| call.has(&token(*round))).unwrap();
        assert!(call.has(format!("\"round {round}\"").as_bytes()), "{:?}", call.message);
    }
}
