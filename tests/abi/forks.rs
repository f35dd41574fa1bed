//! Children of programs in C that have the library at work.

use crate::{
    built::{Program, repetitions},
    fake::{Answer, Fake},
};

const BEAT: &str = "RecordActivityTaskHeartbeat";

#[test]
fn children_begin_afresh_and_their_parent_notices_nothing() {
    let fake = Fake::start(|_| Answer::ok());
    let forks = repetitions(16, 1000);
    let Some(program) = Program::new("forks.c") else { return };
    let said =
        program.variable("TEMPORAL_ADDRESS", fake.address.to_string()).argument(&forks.to_string()).run();
    println!("{said}");

    // The parent kept its connection through all of it.
    let parents: Vec<_> = fake.calls(BEAT).into_iter().filter(|call| call.has(b"other")).collect();
    assert!(parents.iter().all(|call| call.connection == parents[0].connection));
    // Each child made one of its own, and used none that it was born with.
    let childrens: Vec<_> = fake.calls(BEAT).into_iter().filter(|call| call.has(b"child")).collect();
    assert!(childrens.len() >= 2 * forks, "{}", childrens.len());
    assert!(childrens.iter().all(|call| call.connection != parents[0].connection));
    // And none of them beat for the parent.
    assert!(
        fake.calls(BEAT)
            .iter()
            .filter(|call| call.has(b"run"))
            .all(|call| call.connection == parents[0].connection)
    );
}
