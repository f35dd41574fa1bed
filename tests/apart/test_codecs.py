"""Workers with a DataConverter: the process encodes and decodes with the same one."""

import pytest

from apart.activities import Config, Report
from apart.codec import ENCODING
from apart.test_values import CONFIG
from apart.world import Running, World


def stored_encodings(running: Running) -> set[bytes]:
    """Returns the encodings of the payloads that the server holds: the result, or the failure's details."""
    return {payload.metadata["encoding"] for payload in running.stored_payloads()}


@pytest.mark.parametrize(("converter", "activity"), [("picklable", "function"), ("unpicklable", "converter_by_name")])
def test_results_are_encoded(world: World, converter: str, activity: str) -> None:
    with world.worker(converter=converter):
        running = world.start(activity, CONFIG, result_type=Report)
        assert isinstance(running.result().config, Config)
        assert stored_encodings(running) == {ENCODING}


def test_details_of_a_failure_are_encoded(world: World) -> None:
    with world.worker(converter="picklable"):
        running = world.start("raising")
        assert running.failure()
        assert stored_encodings(running) == {ENCODING}


def test_details_are_encoded_and_resumed(world: World) -> None:
    with world.worker(converter="picklable"):
        running = world.start("dying_after_record", heartbeat_timeout_ms=600_000)
        assert running.result() == [1]


def test_converter_that_no_process_can_have_is_named_in_the_failure(world: World) -> None:
    with world.worker(converter="unpicklable"):
        failure = world.start("function", CONFIG, maximum_attempts=1).failure()
        assert 'data_converter="package.module:name"' in str(failure)
