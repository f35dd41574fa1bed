"""Plants mistakes in the library, one at a time, and checks that the simulation finds each.

A mistake is a replacement of text in a copy of the source. It is found if a promise is broken within
60 seconds. `planted.py WORD` plants only those whose name has the word in it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
COPY = ROOT / "target" / "sim-planted"
TEST = "sim::no_promise_is_broken_in_a_simulated_world"
SECONDS = 60


class Mistake(NamedTuple):
    name: str
    file: str
    right: str
    wrong: str
    invariants: tuple[str, ...]
    """One of these must be broken."""


MISTAKES = [
    Mistake(
        "an aborted connection still sends what is in its buffer",
        "src/transport/socket.rs",
        "if self.liveness.must_discard() {",
        "if false {",
        ("records_are_not_replaced_by_older_ones", "one_request_in_flight"),
    ),
    Mistake(
        "a request doesn't wait for one that was given up on another connection",
        "src/transport/predecessor.rs",
        "given_up.connection.settle(given_up.at, patience).await;",
        "",
        ("records_are_not_replaced_by_older_ones", "one_request_in_flight"),
    ),
    Mistake(
        "requests of one activity don't wait for each other",
        "src/client/order.rs",
        "let key = self.key(target);",
        "let key = self.key(target) ^ fastrand::u64(..);",
        ("records_are_not_replaced_by_older_ones", "one_request_in_flight"),
    ),
    Mistake(
        "an activity is described while a beat of its closed handle is in flight",
        "src/client/describe.rs",
        "let mut permit = self.in_order(&target, effort).await?;",
        "let mut permit = self.in_order(&Target::Token(Bytes::new()), effort).await?;",
        ("records_are_not_replaced_by_older_ones",),
    ),
    Mistake(
        "a beat is sent before the previous attempt's details are known",
        "src/activity/state/requests.rs",
        "self.knows_details() && self.address.is_settled()",
        "self.address.is_settled()",
        ("nothing_is_erased",),
    ),
    Mistake(
        "the lease counts from the answer",
        "src/activity/state/requests.rs",
        "self.lease.renew(self.last_send);",
        "self.lease.renew(now);",
        ("lease_lost_is_set_before_the_next_attempt",),
    ),
    Mistake(
        "a try is given up before a slow server can answer",
        "src/activity/schedule.rs",
        "const FULL_TRY_PART: f64 = 0.47;",
        "const FULL_TRY_PART: f64 = 0.2;",
        ("lease_is_kept",),
    ),
    Mistake(
        "a beat is due without regard to how long answers take",
        "src/activity/schedule.rs",
        ".min(LONGEST_PERIOD).min(in_time)",
        ".min(LONGEST_PERIOD)",
        ("lease_is_kept",),
    ),
    Mistake(
        "a record that came during a beat counts as acknowledged with it",
        "src/activity/state/records.rs",
        "self.acknowledged = self.sent;",
        "self.acknowledged = self.newest;",
        ("ok_means_that_the_server_has_it",),
    ),
    Mistake(
        "closing an activity that is over hides that its last record is lost",
        "src/activity/calls.rs",
        "(Err(over), _) => Err(over),",
        "(Err(_), _) => Ok(()),",
        ("ok_means_that_the_server_has_it",),
    ),
    Mistake(
        "the NOT_FOUND of a gateway counts as the end",
        "src/client/rpc_error.rs",
        "Code::NotFound => (Status::Unavailable, Never, false),",
        "Code::NotFound => (Status::NotFound, Never, false),",
        ("gone_only_when_over",),
    ),
    Mistake(
        "an ending whose answer was lost counts as done",
        "src/client/end.rs",
        "let Err(failed) = tried else { return Ok(()) };",
        "let Err(failed) = tried else { return Ok(()) };\n        if failed.outcome_unknown { return Ok(()); }",
        ("ok_means_that_the_server_has_it",),
    ),
    Mistake(
        "a failed beat isn't repeated",
        "src/activity/state/requests.rs",
        "        self.due = now.later(pause);",
        "        self.due = if pause.is_zero() { Moment::NEVER } else { now.later(pause) };",
        ("the_newest_record_reaches_the_server", "lease_is_kept", "calls_succeed_in_a_good_world"),
    ),
    Mistake(
        "a call that waits ignores its deadline",
        "src/activity/registry.rs",
        "            if left.is_zero() {\n                return Ok(None);\n            }\n",
        "",
        ("no_call_outlives_its_timeout",),
    ),
    Mistake(
        "a connection is aborted as soon as an answer is late",
        "src/transport/mod.rs",
        "if liveness.is_dead() {",
        "if true {",
        ("a_slow_server_costs_no_connection",),
    ),
    Mistake(
        "connections are never closed",
        "src/transport/link.rs",
        "settle(&mut lock(&state), number, &connection);",
        "settle(&mut lock(&state), number, &connection);\n            std::mem::forget(connection.clone());",
        ("everything_ends_after_disconnect", "connections_are_bounded"),
    ),
    Mistake(
        "a failed request is repeated at once",
        "src/activity/state/requests.rs",
        "Retry::Soon | Retry::WithOtherCredentials => backoff.pause(failed),",
        "Retry::Soon | Retry::WithOtherCredentials => Duration::ZERO,",
        ("requests_are_bounded",),
    ),
    Mistake(
        "disconnect doesn't send what was recorded",
        "src/activity/mod.rs",
        "let Some(deadline) = timeout.start() else { return };",
        "return; #[allow(unreachable_code)] let Some(deadline) = timeout.start() else { return };",
        ("disconnect_sends_what_was_recorded",),
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
            "proto",
            "tests/sim",
            "tests/drivers",
            "tests/abi",
            "tests/service",
            "examples/rust",
            "Cargo.toml",
            "Cargo.lock",
            "build.rs",
            "cbindgen.toml",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    for name in files:
        source, target = ROOT / name, COPY / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != source.read_bytes():
            shutil.copyfile(source, target)


def plant(mistake: Mistake) -> None:
    path = COPY / "source" / mistake.file
    text = path.read_text()
    if text.count(mistake.right) != 1:
        sys.exit(f"{mistake.file} has {text.count(mistake.right)} times: {mistake.right}\nChange the list of mistakes.")
    path.write_text(text.replace(mistake.right, mistake.wrong))


def run() -> str:
    build = ["cargo", "test", "--quiet", "--profile", "sim", "--lib", "--target-dir", str(COPY)]
    command = [*build, "--", TEST, "--nocapture"]
    environment = {**os.environ, "THB_SIM_SECONDS": str(SECONDS), "RUST_BACKTRACE": "0"}
    ran = subprocess.run(
        command, cwd=COPY / "source", env=environment, capture_output=True, text=True, errors="replace"
    )
    return ran.stdout + ran.stderr


def main() -> None:
    missed = []
    for mistake in MISTAKES:
        if not all(word in mistake.name for word in sys.argv[1:]):
            continue
        copy_source()
        plant(mistake)
        output = run()
        lines = output.splitlines()
        broken = next((line for line in lines if line.startswith("seed ") and " breaks " in line), "")
        is_found = any(broken.endswith(f" breaks {invariant}") for invariant in mistake.invariants)
        print(f"{'found ' if is_found else 'MISSED'}  {mistake.name}: {broken or lines[-1:]}", flush=True)
        if not is_found:
            missed.append(mistake.name)
            (COPY / "missed.log").write_text(output)
    if missed:
        sys.exit(f"{len(missed)} mistakes weren't found as expected")


if __name__ == "__main__":
    main()
