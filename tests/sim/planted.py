"""Plants mistakes in a copy of the library, and checks that the simulation finds each.

All mistakes are in one build, and `THB_SIM_PLANTED` chooses one of them: in its text, `PLANTED` means a
condition that is true then, and `RIGHT` for the text that it replaces. A mistake is found if a promise that belongs
to it is broken. Most are within 60 seconds of one processor. `planted.py WORD` plants only mistakes with the word in
their name.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "target" / "sim-planted"
TEST = "sim::no_promise_is_broken_in_a_simulated_world"
SECONDS = 400
"""Of a processor, for each mistake."""


class Mistake(NamedTuple):
    name: str
    file: str
    right: str
    wrong: str
    invariants: tuple[str, ...]
    """One of these must be broken."""


MISTAKES = [
    Mistake(
        "a record is sent without the codec",
        "src/activity/state/holder.rs",
        "if self.encoder.is_some() {\n            self.take_unencoded(",
        "if self.encoder.is_some() && !PLANTED {\n            self.take_unencoded(",
        ("nothing_is_sent_in_the_clear",),
    ),
    Mistake(
        "a beat waits too long for the codec",
        "src/activity/state/encoder.rs",
        "        encoder.delays_beat = true;\n",
        "RIGHT        let latest = if PLANTED { latest.later(Duration::from_secs(60)) } else { latest };\n",
        ("lease_is_kept",),
    ),
    Mistake(
        "an aborted connection still sends what is in its buffer",
        "src/transport/socket.rs",
        "if self.liveness.must_discard() {",
        "if self.liveness.must_discard() && !PLANTED {",
        ("records_are_not_replaced_by_older_ones", "one_request_in_flight"),
    ),
    Mistake(
        "a request doesn't wait for one that was given up on another connection",
        "src/transport/predecessor.rs",
        "        if self.is_settled() {\n            self.0 = None;",
        "        if self.is_settled() || PLANTED {\n            self.0 = None;",
        ("records_are_not_replaced_by_older_ones", "one_request_in_flight"),
    ),
    Mistake(
        "requests of one activity don't wait for each other",
        "src/client/order.rs",
        "let key = self.key(target);",
        "let key = self.key(target) ^ if PLANTED { fastrand::u64(..) } else { 0 };",
        ("records_are_not_replaced_by_older_ones", "one_request_in_flight"),
    ),
    Mistake(
        "an activity is described while a beat of its closed handle is in flight",
        "src/client/describe.rs",
        "let target = Target::Checked { ids: ids.clone(), attempt, token: None };",
        "RIGHT\n        let target = if PLANTED { Target::Token(Bytes::new()) } else { target };",
        ("records_are_not_replaced_by_older_ones",),
    ),
    Mistake(
        "a beat is sent before the details of the attempt before are known",
        "src/activity/state/requests.rs",
        "self.knows_details() && self.address.is_settled()",
        "(self.knows_details() || PLANTED) && self.address.is_settled()",
        ("nothing_is_erased",),
    ),
    Mistake(
        "the lease counts from the answer",
        "src/activity/state/requests.rs",
        "self.lease.renew(self.last_send);",
        "self.lease.renew(if PLANTED { now } else { self.last_send });",
        ("lease_lost_is_set_before_the_next_attempt",),
    ),
    Mistake(
        "a try is given up before a slow server can answer",
        "src/activity/schedule.rs",
        "let answer = answer.max(self.longest_answer * TRY_MARGIN);",
        "RIGHT\n"
        "        let answer = if PLANTED && !self.timeout.is_zero() { self.timeout.mul_f64(0.3) } else "
        "{ answer };",
        ("lease_is_kept",),
    ),
    Mistake(
        "a beat is due without regard to how long answers take",
        "src/activity/schedule.rs",
        ".min(LONGEST_PERIOD).min(in_time)",
        ".min(LONGEST_PERIOD).min(if PLANTED { Duration::MAX } else { in_time })",
        ("lease_is_kept",),
    ),
    Mistake(
        "how long a slow server takes is forgotten with each answer",
        "src/activity/state/try_history.rs",
        "self.longest_answer_ms = took.max(known - known.div_ceil(FORGETTING));",
        "self.longest_answer_ms = if PLANTED { 1 } else { took.max(known - known.div_ceil(FORGETTING)) };",
        ("lease_is_kept",),
    ),
    Mistake(
        "an expiry that the server reports isn't counted as one",
        "src/transport/exchange.rs",
        "Some(status) if status.code() == Code::DeadlineExceeded && is_expired(end) => {",
        "Some(status) if status.code() == Code::DeadlineExceeded && is_expired(end) && !PLANTED => {",
        (
            "lease_is_kept",
            "calls_succeed_in_a_good_world",
            "the_newest_record_reaches_the_server",
            "a_slow_server_costs_no_connection",
        ),
    ),
    Mistake(
        "the next address is tried only when the one before has failed",
        "src/transport/dialer.rs",
        "end.min(Instant::now() + NEXT_ADDRESS_DELAY)",
        "if PLANTED { end } else { RIGHT }",
        ("calls_succeed_in_a_good_world", "the_newest_record_reaches_the_server", "lease_is_kept"),
    ),
    Mistake(
        "a record that came during a beat counts as acknowledged with it",
        "src/activity/state/records.rs",
        "self.acknowledged = self.sent;",
        "self.acknowledged = if PLANTED { self.newest } else { self.sent };",
        ("ok_means_that_the_server_has_it",),
    ),
    Mistake(
        "the numbers of records wrap around",
        "src/activity/state/records.rs",
        "self.acknowledged >= record",
        "if PLANTED { (self.acknowledged as u8).wrapping_sub(record as u8) < 128 } else { RIGHT }",
        ("ok_means_that_the_server_has_it",),
    ),
    Mistake(
        "closing an activity that is over hides that its last record is lost",
        "src/activity/calls.rs",
        "(Err(over), _) => Err(over),",
        "(Err(_), _) if PLANTED => Ok(()),\n            RIGHT",
        ("ok_means_that_the_server_has_it",),
    ),
    Mistake(
        "the NOT_FOUND of a gateway counts as the end",
        "src/client/rpc_error.rs",
        "Code::NotFound => (Status::Unavailable, Never, false),",
        "Code::NotFound if PLANTED => (Status::NotFound, Never, false),\n            RIGHT",
        ("gone_only_when_over",),
    ),
    Mistake(
        "a lagging replica that describes an earlier attempt counts as the end",
        "src/client/admit.rs",
        "Ordering::Less => Err(out_of_date(number)),",
        "Ordering::Less if PLANTED => Err(RpcError::permanent(over())),\n        RIGHT",
        ("gone_only_when_over",),
    ),
    Mistake(
        "an ending whose answer was lost counts as done",
        "src/client/end.rs",
        "let Err(failed) = tried else { return Ok(()) };",
        "RIGHT\n        if PLANTED && failed.outcome_unknown { return Ok(()); }",
        ("ok_means_that_the_server_has_it",),
    ),
    Mistake(
        "the repeat of an ending whose answer was lost isn't in doubt",
        "src/client/end.rs",
        "self.in_doubt.has(&self.doubt_key(target))",
        "!PLANTED && RIGHT",
        ("not_found_and_in_doubt_tell_the_truth",),
    ),
    Mistake(
        "each ending that comes too late is in doubt",
        "src/client/end.rs",
        "        if failed.error.status() == Status::NotFound && ",
        "        if PLANTED && failed.error.status() == Status::NotFound {\n"
        "            return Err(failed.error.as_status(Status::InDoubt));\n        }\nRIGHT",
        ("not_found_and_in_doubt_tell_the_truth",),
    ),
    Mistake(
        "a failed beat isn't repeated",
        "src/activity/state/requests.rs",
        "        self.due = now.later(pause);",
        "        self.due = if PLANTED && !pause.is_zero() { Moment::NEVER } else { now.later(pause) };",
        ("the_newest_record_reaches_the_server", "lease_is_kept", "calls_succeed_in_a_good_world"),
    ),
    Mistake(
        "a call that waits ignores its deadline",
        "src/activity/registry.rs",
        "            let left = deadline.remaining();\n            if left.is_zero() {\n"
        "                return Ok(None);\n            }\n            let woken",
        "            let left = deadline.remaining().max(if PLANTED { std::time::Duration::from_secs(1) "
        "} else { std::time::Duration::ZERO });\n            if left.is_zero() {\n"
        "                return Ok(None);\n            }\n            let woken",
        # A cancelled call never waits.
        ("no_call_outlives_its_timeout", "no_task_spins"),
    ),
    Mistake(
        "a try of a call is given up before a slow server can answer",
        "src/client/retry.rs",
        ".max(longest_answer * ANSWER_MARGIN).min(left);\n    let silence",
        ".max(longest_answer * ANSWER_MARGIN).min(if PLANTED { Duration::from_millis(50) } else { left });\n"
        "    let silence",
        ("calls_succeed_in_a_good_world",),
    ),
    Mistake(
        "a connection is aborted as soon as an answer is late",
        "src/transport/mod.rs",
        "if liveness.is_dead(silence) {",
        "if liveness.is_dead(silence) || PLANTED {",
        ("a_slow_server_costs_no_connection",),
    ),
    Mistake(
        "each request makes a new connection",
        "src/transport/link.rs",
        "State::Up(connection) if !connection.sender.is_closed() && serves(connection) => {",
        "State::Up(connection) if !connection.sender.is_closed() && serves(connection) && !PLANTED => {",
        ("connections_are_bounded",),
    ),
    Mistake(
        "a connection that was replaced is never closed",
        "src/transport/link.rs",
        "settle(&mut state.lock(), number, &connection);",
        "RIGHT\n            if PLANTED { std::mem::forget(connection.clone()); }",
        ("connections_are_bounded",),
    ),
    Mistake(
        "a connection that has ended isn't closed",
        "src/transport/http2.rs",
        "        aborted.as_mut().poll(context)\n    })\n    .await;",
        "RIGHT\n    if PLANTED { std::future::pending::<()>().await; }",
        ("everything_ends_after_disconnect",),
    ),
    Mistake(
        "a failed request is repeated at once",
        "src/activity/state/requests.rs",
        "Retry::Soon | Retry::WithOtherCredentials => backoff.pause(failed),",
        "Retry::Soon | Retry::WithOtherCredentials if PLANTED => Duration::ZERO,\n            RIGHT",
        ("requests_are_bounded",),
    ),
    Mistake(
        "disconnect doesn't send what was recorded",
        "src/activity/mod.rs",
        "let mut unsent = self.request_flush_of_all();",
        "if PLANTED { return; }\n        RIGHT",
        ("disconnect_sends_what_was_recorded",),
    ),
    Mistake(
        "a handle that is opened while a disconnect flushes survives it",
        "src/activity/mod.rs",
        "        for handle in self.registry.handles() {\n            // Another thread may",
        "        for handle in self.registry.handles() {\n"
        "            if PLANTED && self.registry.with(handle, |activity| activity.newest_record() == 0) "
        ".is_ok_and(|none| none) { continue; }\n            // Another thread may",
        ("disconnect_closes_all_handles",),
    ),
    Mistake(
        "an older reading of the signals replaces a newer one in a watch",
        "src/activity/watch.rs",
        "if publication.number < watched.publication {",
        "if publication.number < watched.publication && !PLANTED {",
        ("a_watch_sees_each_change",),
    ),
    Mistake(
        "a watch doesn't report that a record has ended a stall",
        "src/activity/calls.rs",
        "if signals.intersects(Signals::CLEARED_BY_PROGRESS) {",
        "if signals.intersects(Signals::CLEARED_BY_PROGRESS) && !PLANTED {",
        ("a_watch_sees_each_change",),
    ),
    Mistake(
        "a call that ends while completions are ready has none",
        "src/process/queue.rs",
        "        state.ready.push_back(completion);",
        "        if !PLANTED || state.ready.is_empty() {\n            state.ready.push_back(completion);\n        }",
        ("each_call_completes_once", "no_call_outlives_its_timeout"),
    ),
    Mistake(
        "a submitted call ignores its cancellation",
        "src/process/queue.rs",
        "calls.iter().for_each(|cancellation| cancellation.cancel());",
        "if !PLANTED {\n            RIGHT\n        }",
        ("no_call_outlives_its_timeout",),
    ),
    Mistake(
        "a thread that leaves completions in the queue wakes no other one",
        "src/process/queue.rs",
        "                if !is_empty {\n                    self.changed.notify_one();",
        "                if !is_empty && !PLANTED {\n                    self.changed.notify_one();",
        ("no_call_outlives_its_timeout",),
    ),
    Mistake(
        "submitted calls of one handle don't wait for each other",
        "src/process/call.rs",
        "            Some((activities, handle)) => Some(activities.registry.turn(handle)?),",
        "            Some(_) if PLANTED => None,\nRIGHT",
        ("submitted_calls_run_in_order",),
    ),
    Mistake(
        "a call whose future is dropped isn't ended",
        "src/process/call.rs",
        "        if let Some(otherwise) = self.otherwise.take() {\n            // The result has no receiver.",
        "        if let Some(otherwise) = self.otherwise.take().filter(|_| !PLANTED) {",
        ("no_internal_error", "not_found_and_in_doubt_tell_the_truth"),
    ),
    Mistake(
        "the scheduler keeps an entry for each flush",
        "src/activity/due_queue.rs",
        "self.by_time.remove(&(later, handle));",
        "if !PLANTED { RIGHT }",
        ("memory_is_bounded",),
    ),
    Mistake(
        "a heartbeat counts as news",
        "src/activity/follow/follower.rs",
        "last.as_ref().is_none_or(|last| shown.has_news_since(last));",
        "last.as_ref().is_none_or(|last| shown.has_news_since(last) || PLANTED);",
        ("beats_have_a_reason",),
    ),
    Mistake(
        "an ended activity keeps its long poll",
        "src/activity/follow/follower.rs",
        "if members.list.is_empty() {",
        "if members.list.is_empty() && !PLANTED {",
        ("long_polls_end",),
    ),
    Mistake(
        "a request that has ended is counted twice",
        "src/activity/scheduler.rs",
        "self.in_flight -= released.in_flight;",
        "self.in_flight -= released.in_flight + usize::from(PLANTED && released.in_flight > 0);",
        ("nothing_panics",),
    ),
    Mistake(
        "a call that waits in vain for another one reports an error of the library",
        "src/client/mod.rs",
        "RpcError::temporary(Error::new(Status::Timeout, why))",
        "RpcError::temporary(Error::new(if PLANTED { Status::Internal } else { Status::Timeout }, why))",
        ("no_internal_error",),
    ),
]


def copy_source() -> None:
    files = subprocess.run(
        [
            "git",
            "ls-files",
            "-co",
            "--exclude-standard",
            "--",
            "src",
            "tests/sim",
            "tests/drivers",
            "tests/abi",
            "tests/service",
            "examples/rust",
            "Cargo.toml",
            "Cargo.lock",
            "cbindgen.toml",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    texts = {name: (ROOT / name).read_bytes() for name in files if (ROOT / name).exists()}
    # Another version, so that cargo doesn't take this copy's build for one of the library.
    texts["Cargo.toml"] = re.sub(rb'(?m)^version = "(.*)"', rb'version = "\1-planted"', texts["Cargo.toml"], count=1)
    for number, mistake in enumerate(MISTAKES, 1):
        texts[mistake.file] = plant(number, mistake, texts[mistake.file].decode()).encode()
    for name, text in texts.items():
        target = SOURCE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != text:
            target.write_bytes(text)
    for target in [*SOURCE.glob("src/**/*.rs"), *SOURCE.glob("tests/**/*.rs")]:
        if str(target.relative_to(SOURCE)) not in texts:
            target.unlink()


def plant(number: int, mistake: Mistake, text: str) -> str:
    if text.count(mistake.right) != 1:
        sys.exit(f"{mistake.file} has {text.count(mistake.right)} times: {mistake.right}\nChange the list of mistakes.")
    wrong = mistake.wrong.replace("RIGHT", mistake.right)
    return text.replace(mistake.right, wrong.replace("PLANTED", f"crate::sim::is_planted({number})"))


def build() -> str:
    """Builds the test with all mistakes, and returns its path."""
    target = ["--target-dir", str(ROOT / "target")]
    command = ["cargo", "test", "--profile", "sim", "--lib", "--no-run", *target]
    built = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True)
    path = re.search(r"Executable .*\((.*)\)", built.stderr)
    if built.returncode != 0 or path is None:
        sys.exit(built.stderr)
    # The next build of the library's own tests may replace it.
    return shutil.copy(str(SOURCE / path[1]), str(SOURCE / "test"))


def search(binary: str, number: int) -> str:
    environment = {
        **os.environ,
        "THB_SIM_PLANTED": str(number),
        "THB_SIM_SECONDS": str(SECONDS),
        "THB_SIM_ONLY": " ".join(MISTAKES[number - 1].invariants),
        "RUST_BACKTRACE": "0",
    }
    ran = subprocess.run(
        [binary, TEST, "--nocapture"],
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        # A run that never ends is ended, and counts as one that finds nothing.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (2 * SECONDS, 2 * SECONDS)),
    )
    return ran.stdout + ran.stderr


def main() -> None:
    copy_source()
    binary = build()
    missed = []
    for number, mistake in enumerate(MISTAKES, 1):
        if not all(word in mistake.name for word in sys.argv[1:]):
            continue
        output = search(binary, number)
        found = re.search(r"found after (.*?),.*\n.* breaks (\w+):", output)
        after = f"{found[2]} after {found[1]}" if found else "nothing is broken"
        print(f"{'found ' if found else 'MISSED'}  {mistake.name}: {after}", flush=True)
        if not found:
            missed.append(mistake.name)
            (SOURCE / f"missed-{number}.log").write_text(output)
    if missed:
        sys.exit(f"{len(missed)} mistakes weren't found as expected")


if __name__ == "__main__":
    main()
