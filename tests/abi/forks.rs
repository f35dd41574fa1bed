//! Child processes of C programs that use the library.

use std::collections::HashSet;

use crate::{
    built::{Program, repetitions},
    fake::{Answer, Call, Fake},
};

const BEAT: &str = "RecordActivityTaskHeartbeat";

#[test]
fn children_start_disconnected_and_their_parent_is_unaffected() {
    let fake = Fake::start(|_| Answer::ok());
    let forks = repetitions(16, 1000);
    let program = Program::new("forks.c");
    let said =
        program.variable("TEMPORAL_ADDRESS", fake.address.to_string()).argument(&forks.to_string()).run();
    println!("{said}");

    // The parent kept its connection.
    let parents: Vec<_> = fake.calls(BEAT).into_iter().filter(|call| call.has(b"other")).collect();
    assert!(parents.iter().all(|call| call.connection == parents[0].connection));
    // Each child opened a new connection, and didn't use the inherited one.
    let childrens: Vec<_> = fake.calls(BEAT).into_iter().filter(|call| call.has(b"child")).collect();
    assert!(childrens.len() >= 2 * forks, "{}", childrens.len());
    assert!(childrens.iter().all(|call| call.connection != parents[0].connection));
    // No child beat for the parent.
    assert!(
        fake.calls(BEAT)
            .iter()
            .filter(|call| call.has(b"run"))
            .all(|call| call.connection == parents[0].connection)
    );
}

#[test]
fn prefork_workers_beat_on_their_own_connections_while_their_parent_continues() {
    let fake = Fake::start(|_| Answer::ok());
    let (workers, clients) = (4, repetitions(40, 1000));
    let program = Program::new("prefork.c");
    let program = program.variable("TEMPORAL_ADDRESS", fake.address.to_string());
    program.argument(&workers.to_string()).argument(&clients.to_string()).run();

    let connections = |calls: &[Call]| calls.iter().map(|call| call.connection).collect::<HashSet<_>>();
    let (parents, workers_beats): (Vec<_>, Vec<_>) =
        fake.calls(BEAT).into_iter().partition(|call| call.has(b"parents"));
    assert!(connections(&parents).is_disjoint(&connections(&workers_beats)));
    let completed = fake.calls("RespondActivityTaskCompleted");
    for client in 0..clients {
        let token = format!("of client {client}.");
        let of = |calls: &[Call]| calls.iter().filter(|call| call.has(token.as_bytes())).count();
        assert!(of(&workers_beats) >= 2 && of(&completed) >= 1, "{token}");
    }
}
