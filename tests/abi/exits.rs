//! The ways in which a process can end, with the library at work in it.

use std::{
    os::unix::process::ExitStatusExt,
    time::{Duration, Instant},
};

use crate::{
    built::{Program, repetitions},
    fake::{Answer, Fake},
};

const BEAT: &str = "RecordActivityTaskHeartbeat";
/// The library takes 2 s at most (`activity::farewell::PATIENCE`); a loaded machine takes its time too.
const LONGEST: Duration = Duration::from_secs(30);

/// A way to end, its exit status or signal, and whether what was recorded is sent. `None`: unless the handler has interrupted the
/// very call that records, and so keeps it locked.
struct Way {
    name: &'static str,
    ends: Result<i32, i32>,
    flushes: Option<bool>,
}

const fn way(name: &'static str, ends: Result<i32, i32>, flushes: Option<bool>) -> Way {
    Way { name, ends, flushes }
}

const WAYS: [Way; 12] = [
    way("return", Ok(0), Some(true)),
    way("exit", Ok(0), Some(true)),
    way("exit_of_a_thread", Ok(0), Some(true)),
    way("exit_in_a_handler", Ok(0), None),
    way("quick_exit", Ok(0), Some(false)),
    way("_exit", Ok(0), Some(false)),
    way("exec", Ok(0), Some(false)),
    way("exception", Err(libc::SIGABRT), Some(false)),
    way("abort", Err(libc::SIGABRT), Some(false)),
    way("sigterm", Err(libc::SIGTERM), Some(false)),
    way("sigkill", Err(libc::SIGKILL), Some(false)),
    way("unused", Ok(0), Some(false)),
];

#[test]
fn a_process_ends_in_any_way_without_a_crash_a_hang_or_a_word_and_sends_what_it_can() {
    let fake = Fake::start(|call| if call.has(b"silence") { Answer::Silence } else { Answer::ok() });
    let times = repetitions(6, 1000);
    let Some(program) = Program::new("exits.cpp") else { return };
    let program = program.variable("TEMPORAL_ADDRESS", fake.address.to_string());
    for Way { name, ends, flushes } in WAYS {
        let (mut longest, mut sent_all) = (Duration::ZERO, 0);
        for time in 0..times {
            let last = format!("\"last of {name} {time}\"");
            let began = Instant::now();
            let output = program.again().argument(name).argument(&last).output();
            longest = longest.max(began.elapsed());
            let ended = output.status.code().ok_or(output.status.signal().unwrap_or(0));
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(ended, ends, "{name}: {said}");
            // The C++ runtime tells of an exception; nobody else says anything.
            assert!(name == "exception" || said.is_empty(), "{name}: {said}");
            assert!(output.stdout.is_empty());
            let sent = fake.calls(BEAT).iter().any(|call| call.has(last.as_bytes()));
            sent_all += usize::from(sent);
            assert!(
                flushes.is_none_or(|flushes| sent == flushes),
                "{name}: whether the last record was sent"
            );
            fake.forget();
        }
        println!(
            "{name:18} survived {times} of {times}, {sent_all} with the last record sent, the longest took {:.3} s",
            longest.as_secs_f64()
        );
        assert!(longest < LONGEST, "{name}");
    }
}

#[test]
fn a_server_that_never_answers_holds_up_the_end_for_two_seconds() {
    let fake = Fake::start(|call| if call.has(b"last") { Answer::Silence } else { Answer::ok() });
    let Some(program) = Program::new("exits.cpp") else { return };
    let program = program.variable("TEMPORAL_ADDRESS", fake.address.to_string());
    let began = Instant::now();
    program.argument("return").argument("\"last\"").run();
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1900) && took < LONGEST, "{took:?}");
}
