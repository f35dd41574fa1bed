"""A server without standalone activities. Calls for a standalone activity report that it isn't supported."""

import pytest

from harness.driver import refused
from harness.fixtures import Connect
from harness.requires import unsupported
from harness.worker import SdkWorker


@pytest.fixture
def standalone_token(sdk_worker: SdkWorker) -> bytes:
    """Returns a token like a newer server's: without a workflow, with a reference to the activity itself."""
    if sdk_worker.has_standalone:
        unsupported("a server without standalone activities (THB_TEMPORAL=path of an older `temporal`)")
    namespace_id, activity_id = sdk_worker.namespace_id().encode(), b"of-nobody"
    reference = field(2, activity_id) + field(3, b"0190a0b0-0000-7000-8000-000000000000")
    return field(1, namespace_id) + b"\x28\x01" + field(6, activity_id) + field(14, reference)


def field(number: int, data: bytes) -> bytes:
    """Encodes a field of a message. Number and length are small."""
    return bytes([number << 3 | 2, len(data)]) + data


def test_details_of_a_standalone_activity_are_unimplemented(
    language: str, standalone_token: bytes, connect: Connect
) -> None:
    with refused("THB_UNIMPLEMENTED"):
        connect(language).get_details(standalone_token)
