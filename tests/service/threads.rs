//! Calls from many threads, and from threads that must not block.

use std::{thread, time::Duration};

use temporal_heartbeat::{
    api::rpc,
    model::{deadline::Timeout, signals::Signals, status::Status},
};

use crate::fake::{Answer, Fake, tally};

const LONG: Timeout = Timeout::Within(Duration::from_secs(30));
const BEAT: &str = "RecordActivityTaskHeartbeat";

#[test]
fn many_callers_share_one_connection() {
    let fake = Fake::connected(|_| Answer::ok());
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                (0..20).for_each(|_| {
                    assert_eq!(
                        rpc::heartbeat(b"token", None, LONG).and_then(rpc::Call::wait).unwrap(),
                        Signals::default()
                    )
                })
            });
        }
    });
    assert_eq!(fake.calls(BEAT).len(), 64 * 20);
    assert_eq!(fake.connections(), 1);
}

#[test]
fn call_from_a_worker_of_the_callers_tokio_runtime_works() {
    let _fake = Fake::connected(|_| Answer::ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        rpc::heartbeat(b"token", None, LONG).and_then(rpc::Call::wait).unwrap();
        rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
    });
}

#[test]
fn calls_from_all_workers_of_the_callers_tokio_runtime_work() {
    let fake = Fake::connected(|_| Answer::ok());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            runtime.spawn(async {
                for _ in 0..10 {
                    rpc::heartbeat(b"token", None, LONG).and_then(rpc::Call::wait).unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(fake.calls(BEAT).len(), 160);
}

#[test]
fn slow_call_delays_no_other_call() {
    let fake = Fake::connected(|call| match (call.method.as_str(), call.nth) {
        (BEAT, 0) => Answer::Silence,
        _ => Answer::ok(),
    });
    thread::scope(|scope| {
        let slow = scope.spawn(|| rpc::heartbeat(b"slow", None, LONG).and_then(rpc::Call::wait));
        fake.wait_for(BEAT, 1);
        for _ in 0..100 {
            rpc::heartbeat(b"fast", None, Timeout::Within(Duration::from_secs(5)))
                .and_then(rpc::Call::wait)
                .unwrap();
        }
        rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
        assert_eq!(slow.join().unwrap().unwrap_err().status(), Status::NotConnected);
    });
}

#[test]
fn connections_closed_by_the_server_lose_no_call() {
    let fake = Fake::connected(|call| match (call.method.as_str(), call.nth % 50) {
        (BEAT, 49) => Answer::Close,
        _ => Answer::ok(),
    });
    let statuses: Vec<_> = thread::scope(|scope| {
        let callers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let beats =
                        (0..100).map(|_| rpc::heartbeat(b"token", None, LONG).and_then(rpc::Call::wait));
                    beats
                        .map(|beat| beat.map_or_else(|error| error.status(), |_| Status::Ok))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    assert_eq!(tally(statuses), [("THB_OK".to_owned(), 800)].into());
    assert!(fake.connections() > 10);
}
