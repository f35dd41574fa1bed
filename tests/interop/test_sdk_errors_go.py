"""Errors of Temporal's Go SDK in a process without a worker: the workflow gets them unchanged.

The scenarios are those of the SDKs' own tests of activities that are completed from outside.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from harness.activities import Kind
from harness.fixtures import StartActivity
from harness.server import Server
from interop import programs
from interop.child import BindingChild


@pytest.fixture(scope="module")
def child(server: Server) -> Iterator[BindingChild]:
    with closing(BindingChild("Go", programs.go_child(), server)) as started:
        yield started


def test_application_error_reaches_the_workflow_unchanged(
    kind: Kind, start: StartActivity, child: BindingChild
) -> None:
    activity = start(kind)
    child.fail_with(activity.next_attempt().token, "all fields")
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert (error.message, error.type, list(error.details)) == ("simulated failure", "test", ["some details"])
    assert error.non_retryable
    assert error.next_retry_delay == timedelta(seconds=3)
    assert error.category == ApplicationErrorCategory.BENIGN
    assert isinstance(error.cause, ApplicationError)
    assert (error.cause.message, error.cause.type, list(error.cause.details)) == ("the cause", "Inner", [41])


def test_fail_twice(kind: Kind, start: StartActivity, child: BindingChild) -> None:
    activity = start(kind, maximum_attempts=2)
    child.fail_with(activity.next_attempt().token, "first")
    child.fail_with(activity.next_attempt().token, "second")
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert (error.message, error.type, list(error.details)) == ("err message 2", None, ["err details 2"])


def test_plain_error_is_retried_and_has_no_type(start: StartActivity, child: BindingChild) -> None:
    activity = start("workflow", maximum_attempts=2)
    for _ in range(2):
        child.fail_with(activity.next_attempt().token, "plain")
    error = activity.failure()
    assert isinstance(error, ApplicationError)
    assert (error.type, error.non_retryable, list(error.details)) == (None, False, [])
