"""Faults of a codec server: none costs a lease or sends a readable value, and the newest record arrives after them."""

import re
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from harness import scripted_codec
from harness.codec_driver import LONG_MS, TIMEOUT_MS, CodecDriver, Held, value, wait_for_two_leases
from harness.driver import Driver, OpenActivity, refused
from harness.paths import ROOT
from harness.polling import wait_until
from harness.scripted_codec import Script
from harness.server import free_port
from harness.signals import Signals


@dataclass(frozen=True)
class Fault:
    """What a codec server does, and what a flush returns."""

    what: str
    script: Script
    status: str
    message: str
    # Whether the activity gets THB_SIGNAL_REFUSED, because retries don't help.
    is_refused: bool = False

    def row(self) -> str:
        """Returns the row in docs/faults.md."""
        match self.status, self.is_refused:
            case "THB_TOO_LARGE", _:
                again = "for the next record"
            case _, True:
                again = "at the heartbeat interval"
            case "THB_RESOURCE_EXHAUSTED", _:
                again = "after 1 s or more"
            case _:
                again = "after a growing pause"
        signal = "`THB_SIGNAL_REFUSED`" if self.is_refused else ""
        return f"| {self.what} | `{self.status}` | {signal} | {again} |"


def refusal(what: str, script: Script, status: str, message: str) -> Fault:
    return Fault(what, script, status, message, is_refused=True)


OTHER_URL = "http://127.0.0.1:1/elsewhere"
FAULTS = [
    Fault("it accepts the request and never answers", scripted_codec.hold, "THB_TIMEOUT", "codec hasn't"),
    Fault("HTTP 500", scripted_codec.status(500), "THB_UNAVAILABLE", "HTTP status 500"),
    Fault("HTTP 503", scripted_codec.status(503), "THB_UNAVAILABLE", "HTTP status 503"),
    Fault("HTTP 429", scripted_codec.status(429), "THB_RESOURCE_EXHAUSTED", "HTTP status 429"),
    Fault("it closes the connection instead of answering", scripted_codec.no_answer, "THB_UNAVAILABLE", "connection"),
    Fault("it closes the connection in the answer", scripted_codec.half_an_answer, "THB_UNAVAILABLE", "connection"),
    refusal("HTTP 400", scripted_codec.status(400), "THB_SERVER_ERROR", "HTTP status 400"),
    refusal("HTTP 401", scripted_codec.status(401), "THB_UNAUTHENTICATED", "codec_auth"),
    refusal("HTTP 403", scripted_codec.status(403), "THB_PERMISSION_DENIED", "HTTP status 403"),
    refusal("HTTP 404", scripted_codec.status(404), "THB_SERVER_ERROR", "codec_endpoint"),
    refusal("HTTP 413", scripted_codec.status(413), "THB_TOO_LARGE", "HTTP status 413"),
    refusal("a redirect", scripted_codec.status(307, Location=OTHER_URL), "THB_SERVER_ERROR", "redirects"),
    refusal("an empty answer", scripted_codec.body(b""), "THB_SERVER_ERROR", "JSON of a Payloads"),
    refusal("an answer that isn't JSON", scripted_codec.body(b"<html>"), "THB_SERVER_ERROR", "JSON of a Payloads"),
    refusal("no value for one", scripted_codec.number_of_values(0), "THB_SERVER_ERROR", "returned 0 values for 1"),
    refusal("two values for one", scripted_codec.number_of_values(2), "THB_SERVER_ERROR", "returned 2 values for 1"),
    refusal("a value over the Temporal server's size limit", scripted_codec.large(3), "THB_TOO_LARGE", "codec server"),
    refusal("an answer over `max_message_bytes`", scripted_codec.large(10), "THB_TOO_LARGE", "max_message_bytes"),
    refusal("the value as it came, with `require_encoded`", scripted_codec.readable, "THB_INVALID_ARGUMENT", "codec"),
]


def check_flush(held: Held, fault: Fault) -> str:
    """Returns the message of a flush during a fault."""
    with refused(fault.status, fault.message) as flushed:
        # Long enough for an answer, if there is one: such a flush ends with the error of the last try.
        held.handle.flush(timeout=300 if fault.script is scripted_codec.hold else 1_500)
    info = held.handle.info()
    assert info["pending"], fault.what
    assert info["unencoded_ms"] > 0, fault.what
    assert (Signals.REFUSED in held.handle.signals()) == fault.is_refused, fault.what
    if fault.script is not scripted_codec.hold:
        assert info["last_error"]["name"] == fault.status
        assert fault.message.lower() in info["last_error"]["message"].lower()
    return flushed.message


def test_no_fault_costs_a_lease_or_sends_a_readable_value(codec_driver: CodecDriver) -> None:
    codec = codec_driver.codec
    codec_driver.connect(max_message_bytes=8 << 20)
    every = []
    for fault in FAULTS:
        held = codec_driver.hold(fault.what, require_encoded="require_encoded" in fault.what)
        held.record(1)
        every.append(held)
    for held in every:
        held.handle.flush(timeout=LONG_MS)
    for fault, held in zip(FAULTS, every, strict=True):
        codec.script(held.script, fault.script)
        held.record(2)
    messages = []
    for fault, held in zip(FAULTS, every, strict=True):
        codec.wait_for(held.script, 2)
        messages.append(check_flush(held, fault))
    wait_for_two_leases(every)
    for fault, held in zip(FAULTS, every, strict=True):
        assert held.held_by_server() == [1], fault.what
        assert (Signals.REFUSED in held.handle.signals()) == fault.is_refused, fault.what
        # No fault makes the library ask without pauses.
        assert len(codec.requests(held.script)) < 100, fault.what

    codec.heal()
    for held in every:
        held.record(3)
    for held in every:
        held.handle.flush(timeout=LONG_MS)
        assert held.handle.signals() == Signals.NONE
        assert held.held_by_server() == [3], held.script
        info = held.handle.info()
        assert (info["unencoded_ms"], info["last_error"], info["pending"]) == (None, None, False), held.script
        held.check_lease()
    codec_driver.check_secrets(*messages)
    assert "codec_failed" in codec_driver.logs()
    assert "codec_answers" in codec_driver.logs()


def test_page_lists_the_faults() -> None:
    page = (ROOT / "docs" / "faults.md").read_text()
    missing = [fault.row() for fault in FAULTS if fault.row() not in page.splitlines()]
    assert not missing, "\n".join(missing)


def test_slow_codec_server_and_dead_connections_cost_no_record(codec_driver: CodecDriver) -> None:
    codec = codec_driver.codec
    codec_driver.connect()
    scripts = {
        "slow": scripted_codec.slow(TIMEOUT_MS / 2000),
        "closes kept-alive connections": scripted_codec.then_close,
        "hangs on kept-alive connections": scripted_codec.only_once,
    }
    every = [codec_driver.hold(name) for name in scripts]
    for held in every:
        codec.script(held.script, scripts[held.script])
    for number in range(3):
        for held in every:
            held.record(number)
        for held in every:
            held.handle.flush()
            assert held.held_by_server() == [number], held.script
            held.check_lease()
            assert held.handle.signals() == Signals.NONE
    # The pulse needs no codec.
    counts = [len(codec.requests(name)) for name in scripts]
    wait_for_two_leases(every)
    assert [len(codec.requests(name)) for name in scripts] == counts
    codec_driver.check_secrets()


ENDINGS = ("complete", "fail", "report_cancelled")


def end(call: str, handle: OpenActivity, timeout: int = LONG_MS) -> None:
    match call:
        case "complete":
            handle.complete(value("", 7), timeout=timeout)
        case "fail":
            handle.fail(timeout, message="failed on purpose")
        case "report_cancelled":
            handle.report_cancelled(timeout=timeout)


def messages_of_endings(every: dict[str, Held]) -> list[str]:
    """Returns the messages of ending calls that fail while the codec server is away."""
    messages = []
    for call in ENDINGS:
        with refused("THB_UNAVAILABLE", "codec server", "wasn't ended") as failed:
            end(call, every[call].handle, timeout=300)
        assert every[call].handle.info()["state"] == "open"
        assert failed.message.count("wasn't ended") == 1
        messages.append(failed.message)
    return messages


def messages_of_single_calls(driver: Driver, token: bytes) -> list[str]:
    """Returns the messages of single calls that fail while the codec server is away."""
    one = value("", 1)
    calls: list[Callable[[], object]] = [
        lambda: driver.complete(token, one, timeout=300),
        lambda: driver.fail(token, {"message": "m", "details": [one]}, timeout=300),
        lambda: driver.report_cancelled(token, one, timeout=300),
    ]
    messages = []
    for call in calls:
        with refused("THB_UNAVAILABLE", "codec server", "wasn't ended") as failed:
            call()
        messages.append(failed.message)
    calls = [
        lambda: driver.heartbeat(token, one, timeout=300),
        lambda: driver.get_details(token, timeout=300),
    ]
    for call in calls:
        with refused("THB_UNAVAILABLE", "codec server") as failed:
            call()
        messages.append(failed.message)
    return messages


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text: bytes = answer.read()
    return text.decode()


def count(port: int, name: str) -> int:
    found = re.search(rf"^temporal_heartbeat_codec_{name}\S* (\d+)", metrics(port), re.MULTILINE)
    assert found, name
    return int(found[1])


def test_calls_say_what_is_missing_while_the_codec_server_is_away(codec_driver: CodecDriver) -> None:
    port = free_port()
    codec_driver.connect(metrics_address=f"127.0.0.1:{port}")
    every = {call: codec_driver.hold(call) for call in (*ENDINGS, "close", "gone", "keep")}
    single = codec_driver.start()
    token = single.next_attempt().token
    codec_driver.driver.heartbeat(token, value("", 0))
    for held in every.values():
        held.record(1)
        held.handle.flush()
    requests = count(port, "requests")
    assert count(port, "failures") == 0
    codec_driver.codec.go_down()
    for held in every.values():
        held.record(2)
    messages = messages_of_endings(every) + messages_of_single_calls(codec_driver.driver, token)
    with refused("THB_UNAVAILABLE", "codec server") as closed:
        every["close"].handle.close(timeout=300)
    with refused("THB_INVALID_HANDLE"):
        every["close"].handle.info()
    # A call that waits for the codec returns when the activity is over.
    every["gone"].handle.start_fail(LONG_MS, message="m")
    every["gone"].started.terminate()
    with refused("THB_NOT_FOUND", within_s=LONG_MS / 2000):
        codec_driver.driver.finish()
    rest = [every[name] for name in (*ENDINGS, "keep")]
    wait_for_two_leases(rest)
    for held in rest:
        assert held.held_by_server() == [1]
    assert count(port, "requests") > requests
    assert 0 < count(port, "failures") <= count(port, "requests")

    codec_driver.codec.begin_listening()
    every["keep"].handle.flush(timeout=LONG_MS)
    assert every["keep"].held_by_server() == [2]
    every["report_cancelled"].started.request_cancel()
    for call in ENDINGS:
        end(call, every[call].handle)
        every[call].check_lease("ended")
    codec_driver.driver.complete(token, value("", 8))
    for started in (single, every["complete"].started):
        started.completed_by()
    codec_driver.check_secrets(closed.message, *messages, metrics(port))


def test_disconnect_and_exit_lose_only_the_record_that_was_never_encoded(codec_driver: CodecDriver) -> None:
    codec_driver.connect()
    held = codec_driver.hold("hangs")
    held.record(1)
    held.handle.flush()
    codec_driver.codec.script("hangs", scripted_codec.hold)
    held.record(2)
    codec_driver.codec.wait_for("hangs", 2)
    codec_driver.driver.disconnect(timeout=300)
    assert held.held_by_server() == [1]
    codec_driver.codec.heal()

    codec_driver.connect()
    held = codec_driver.hold("away")
    held.record(1)
    held.handle.flush()
    codec_driver.codec.go_down()
    held.record(2)
    wait_until(lambda: held.handle.info()["last_error"] is not None, "the codec server is away")
    assert codec_driver.driver.close_stdin() == 0
    assert held.held_by_server() == [1]
    codec_driver.check_secrets()


def test_too_large_details_are_refused_until_a_smaller_record(codec_driver: CodecDriver) -> None:
    codec = codec_driver.codec
    codec_driver.connect()
    held = codec_driver.hold("too large")
    held.record(1)
    held.handle.flush()
    codec.script("too large", scripted_codec.large(3))
    held.record(2)
    assert held.handle.wait(Signals.REFUSED, timeout=LONG_MS) == Signals.REFUSED
    assert held.handle.info()["last_error"]["name"] == "THB_TOO_LARGE"
    for call in ("fail", "report_cancelled"):
        with refused("THB_TOO_LARGE"):
            end(call, held.handle)
    requests = len(codec.requests("too large"))
    wait_for_two_leases([held])
    assert held.held_by_server() == [1]
    assert len(codec.requests("too large")) == requests, "the same details stay too large"
    codec.heal()
    held.record(3)
    # The heartbeat after the record carries it: no flush is necessary.
    assert held.handle.wait(Signals.REFUSED, known=Signals.REFUSED, timeout=LONG_MS) == Signals.NONE
    wait_until(lambda: held.held_by_server() == [3], "the smaller record arrives")
    codec.script("too large", scripted_codec.large(3))
    with refused("THB_TOO_LARGE", "wasn't ended"):
        held.handle.complete(value("too large", 4))
    end("complete", held.handle)
