"""The main purpose: a killed activity resumes at its last progress."""

from temporalio.exceptions import TimeoutError as ActivityTimeoutError
from temporalio.exceptions import TimeoutType

from harness.activities import Kind
from harness.fixtures import Connect, StartActivity
from harness.languages import LANGUAGES
from harness.requires import unsupported
from harness.server import OLDEST, Server


def test_killed_child_resumes_after_last_item(
    language: str, kind: Kind, start: StartActivity, connect: Connect
) -> None:
    first, second = connect(language), connect(language)
    activity = start(kind, heartbeat_timeout_ms=1_000)
    token = activity.next_attempt().token
    for item in range(3):
        first.heartbeat(token, {"item": item})
    first.kill()

    retry = activity.next_attempt()
    assert retry.number == 2
    details = second.get_details(retry.token)
    assert details.values == [{"item": 2}]
    assert details.attempt == 2

    second.heartbeat(retry.token, {"item": 3})
    second.complete(retry.token, "four items")
    assert activity.result() == "four items"


def test_each_language_resumes_after_another_one(start: StartActivity, connect: Connect) -> None:
    drivers = [connect(language) for language in LANGUAGES]
    activity = start("workflow", heartbeat_timeout_ms=1_000)
    for number, driver in enumerate(drivers, start=1):
        attempt = activity.next_attempt()
        assert attempt.number == number
        assert driver.get_details(attempt.token).values == ([number - 1] if number > 1 else [])
        driver.heartbeat(attempt.token, number)
        if number == len(LANGUAGES):
            driver.complete(attempt.token, number)
        else:
            driver.kill()
    assert activity.result() == len(LANGUAGES)


def test_silent_child_times_out_with_its_last_details(
    language: str, kind: Kind, start: StartActivity, connect: Connect, server: Server
) -> None:
    driver = connect(language)
    activity = start(kind, heartbeat_timeout_ms=1_000, maximum_attempts=1)
    driver.heartbeat(activity.next_attempt().token, {"item": 41})

    failure = activity.failure()
    assert isinstance(failure, ActivityTimeoutError)
    assert failure.type == TimeoutType.HEARTBEAT
    if kind == "standalone" and server.version < OLDEST:
        assert activity.heartbeat_details() == [{"item": 41}]
        unsupported("the last details in the timeout of a standalone activity")
    assert failure.last_heartbeat_details == [{"item": 41}]
