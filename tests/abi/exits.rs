//! The ways in which a process that uses the library can end, and in which it can close the library.

use std::{os::unix::process::ExitStatusExt, process::Output, time::Duration};

use crate::{
    built::{Program, repetitions},
    fake::{Answer, Call, Fake, task},
};

const BEAT: &str = "RecordActivityTaskHeartbeat";
/// The library delays an exit by at most 2 s (`activity::exit_flush::FLUSH_TIMEOUT`). The limit allows for a loaded
/// machine.
const LONGEST: Duration = Duration::from_secs(30);

/// A way to end the process. `ends` has the exit status, or the signal as an error. `flushes` is whether the last record is sent. It is
/// `None` if the record may be lost: a handler that interrupts the record call leaves the activity locked.
struct Way {
    name: &'static str,
    ends: Result<i32, i32>,
    flushes: Option<bool>,
}

const fn way(name: &'static str, ends: Result<i32, i32>, flushes: Option<bool>) -> Way {
    Way { name, ends, flushes }
}

const WAYS: [Way; 14] = [
    way("return", Ok(0), Some(true)),
    way("exit", Ok(0), Some(true)),
    way("exit_of_a_thread", Ok(0), Some(true)),
    way("exit_in_a_call", Ok(0), Some(true)),
    way("exit_in_a_handler", Ok(0), None),
    way("static_destructor", Ok(0), Some(true)),
    way("quick_exit", Ok(0), Some(false)),
    way("_exit", Ok(0), Some(false)),
    way("exec", Ok(0), Some(false)),
    way("exception", Err(libc::SIGABRT), Some(false)),
    way("abort", Err(libc::SIGABRT), Some(false)),
    way("sigterm", Err(libc::SIGTERM), Some(false)),
    way("sigkill", Err(libc::SIGKILL), Some(false)),
    way("unused", Ok(0), Some(false)),
];

/// Runs a program. Returns its output, and the time from the beginning of its end until it has ended. On stdout the program prints only
/// when it began to end.
fn end(program: Program) -> (Output, Duration) {
    let output = program.output();
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` that outlives the call.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) }, 0);
    let now = Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap());
    let said = String::from_utf8_lossy(&output.stderr);
    let Ok(began) = output.stdout.as_slice().try_into() else {
        panic!("{} {:?} {said}", output.status, output.stdout)
    };
    let took = now - Duration::from_nanos(u64::from_ne_bytes(began));
    (output, took)
}

/// Has tasks, except in the queue "idle", where polls wait. `silent` marks other requests that the server never answers.
fn with_tasks(call: &Call, silent: &[u8]) -> Answer {
    match call.method.as_str() {
        "PollActivityTaskQueue" if call.has(b"idle") => Answer::Silence,
        "PollActivityTaskQueue" => task(call.nth, 60),
        _ if call.has(silent) => Answer::Silence,
        _ => Answer::ok(),
    }
}

#[test]
fn process_ends_silently_in_any_way_and_sends_the_last_record_where_possible() {
    let fake = Fake::start(|call| with_tasks(call, b"silence"));
    let times = repetitions(6, 1000);
    let program = Program::new("exits.cpp");
    let program = program.variable("TEMPORAL_ADDRESS", fake.address.to_string());
    for Way { name, ends, flushes } in WAYS {
        let (mut longest, mut sent_all) = (Duration::ZERO, 0);
        for time in 0..times {
            let last = format!("\"last of {name} {time}\"");
            let (output, took) = end(program.again().argument(name).argument(&last));
            longest = longest.max(took);
            let ended = output.status.code().ok_or(output.status.signal().unwrap_or(0));
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(ended, ends, "{name}: {said}");
            // The C++ runtime reports the exception. Nothing else is printed.
            assert!(name == "exception" || said.is_empty(), "{name}: {said}");
            let sent = fake.calls(BEAT).iter().any(|call| call.has(last.as_bytes()));
            sent_all += usize::from(sent);
            assert!(
                flushes.is_none_or(|flushes| sent == flushes),
                "{name}: whether the last record was sent"
            );
            fake.forget();
        }
        println!(
            "{name:18} survived {times} of {times}, {sent_all} with the last record sent, the longest end took {:.3} s",
            longest.as_secs_f64()
        );
        assert!(longest < LONGEST, "{name}");
    }
}

#[test]
fn silent_server_delays_the_exit_by_two_seconds() {
    let fake = Fake::start(|call| with_tasks(call, b"last"));
    let program = Program::new("exits.cpp");
    let program = program.variable("TEMPORAL_ADDRESS", fake.address.to_string());
    let (output, took) = end(program.argument("return").argument("\"last\""));
    assert!(output.status.success(), "{output:?}");
    assert!(took > Duration::from_millis(1900) && took < LONGEST, "{took:?}");
}

#[test]
fn library_is_opened_used_and_closed_repeatedly() {
    let fake = Fake::start(|call| with_tasks(call, b"silence"));
    let times = repetitions(20, 1000);
    let program = Program::unlinked("reload.c");
    let program = program.variable("TEMPORAL_ADDRESS", fake.address.to_string());
    println!("{}", program.argument(&times.to_string()).run());
    // Each round sends one beat with a single call, and one from an open activity.
    assert_eq!(fake.calls(BEAT).len(), 2 * times);
}
