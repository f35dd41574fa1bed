import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from harness.descriptors import compile_ours


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorSet:
    return compile_ours(tmp_path_factory.mktemp("proto") / "ours.binpb")
