"""Details or a result over the server's limit would end the activity, so the library refuses to send them."""

from harness.activities import Kind
from harness.driver import Raw, refused
from harness.fixtures import Connect, StartActivity
from harness.payloads import LIMIT, bytes_of_size, json_of_size, payloads
from harness.signals import Signals


def test_details_at_the_limit_are_sent_and_the_activity_continues(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    driver = connect(language)
    assert driver.heartbeat(token, bytes_of_size(LIMIT)) == Signals.NONE
    assert driver.heartbeat(token, 41) == Signals.NONE
    driver.complete(token, "done")
    assert activity.result() == "done"


def test_details_one_byte_over_the_limit_are_refused_and_the_activity_continues(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    driver = connect(language)
    driver.heartbeat(token, 40)
    with refused("THB_TOO_LARGE", str(LIMIT), str(LIMIT + 1)):
        driver.heartbeat(token, bytes_of_size(LIMIT + 1))
    assert driver.get_details(token).values == [40]
    assert driver.heartbeat(token, 41) == Signals.NONE
    driver.complete(token, "done")
    assert activity.result() == "done"


def test_limit_applies_to_the_encoded_size(start: StartActivity, connect: Connect) -> None:
    """The limit applies to all values together, and to serialized Payloads from elsewhere."""
    token = start("workflow").next_attempt().token
    driver = connect("c")
    half = bytes_of_size(LIMIT // 2)
    driver.heartbeat(token, half, half)
    with refused("THB_TOO_LARGE"):
        driver.heartbeat(token, half, half + b"x")
    made = payloads(("binary/plain", half), ("binary/plain", half))
    driver.heartbeat(token, Raw(f"payloads:{made.hex()}"))
    over = payloads(("binary/plain", half), ("binary/plain", half + b"x"))
    with refused("THB_TOO_LARGE"):
        driver.heartbeat(token, Raw(f"payloads:{over.hex()}"))
    assert driver.heartbeat(token, 41) == Signals.NONE


def test_json_and_bytes_have_the_same_limit(start: StartActivity, connect: Connect) -> None:
    token = start("workflow").next_attempt().token
    driver = connect("c")
    assert driver.heartbeat(token, json_of_size(LIMIT)) == Signals.NONE
    with refused("THB_TOO_LARGE"):
        driver.heartbeat(token, json_of_size(LIMIT + 1))
    assert driver.heartbeat(token, 41) == Signals.NONE


def test_result_at_the_limit_arrives(kind: Kind, start: StartActivity, connect: Connect) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    result = bytes_of_size(LIMIT)
    driver = connect("c")
    with refused("THB_TOO_LARGE"):
        driver.complete(token, result + b"x")
    assert driver.heartbeat(token, 41) == Signals.NONE
    driver.complete(token, result)
    if kind == "standalone":  # a workflow's own result has a lower limit
        assert activity.result() == result


def test_result_one_byte_over_the_limit_is_refused_and_a_smaller_one_completes(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    activity = start(kind)
    token = activity.next_attempt().token
    driver = connect(language)
    with refused("THB_TOO_LARGE"):
        driver.complete(token, bytes_of_size(LIMIT + 1))
    driver.complete(token, "in a file")
    assert activity.result() == "in a file"


def test_details_of_a_cancellation_over_the_limit_are_refused(
    language: str, start: StartActivity, connect: Connect
) -> None:
    activity = start("workflow")
    token = activity.next_attempt().token
    activity.request_cancel()
    driver = connect(language)
    with refused("THB_TOO_LARGE"):
        driver.report_cancelled(token, bytes_of_size(LIMIT + 1))
    assert driver.heartbeat(token, 41) == Signals.CANCEL_REQUESTED
    driver.report_cancelled(token, "short")
    assert list(activity.failure().details) == ["short"]  # type: ignore[attr-defined]
