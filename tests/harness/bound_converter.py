"""A data converter of the official SDK with a key for each workflow, and one that also stores large values in files."""

import dataclasses
import hashlib
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    ExternalStorage,
    PayloadCodec,
    SerializationContext,
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
    WithSerializationContext,
    WorkflowSerializationContext,
)

ENCODING = b"binary/encrypted"
NONCE_BYTES = 12


class WorkflowCodec(PayloadCodec, WithSerializationContext):
    """Derives the key from the context. Without a context it refuses to work."""

    def __init__(self, workflow_id: str = "") -> None:
        self._workflow_id = workflow_id

    def with_context(self, context: SerializationContext) -> "WorkflowCodec":
        assert isinstance(context, (ActivitySerializationContext, WorkflowSerializationContext))
        return WorkflowCodec(context.workflow_id or "")

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypted(payload.SerializeToString()) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload.FromString(self._key().decrypt(payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:], None))
            for payload in payloads
        ]

    def _encrypted(self, data: bytes) -> Payload:
        nonce = os.urandom(NONCE_BYTES)
        return Payload(metadata={"encoding": ENCODING}, data=nonce + self._key().encrypt(nonce, data, None))

    def _key(self) -> AESGCM:
        assert self._workflow_id, "the codec isn't bound to a workflow"
        return AESGCM(hashlib.sha256(self._workflow_id.encode()).digest())


class FolderDriver(StorageDriver):
    """Stores each value in a file below the id of its workflow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def name(self) -> str:
        return "folder"

    async def store(self, context: StorageDriverStoreContext, payloads: Sequence[Payload]) -> list[StorageDriverClaim]:
        assert isinstance(context.target, StorageDriverWorkflowInfo)
        assert context.target.id
        return [self._store(context.target.id, payload) for payload in payloads]

    async def retrieve(
        self, _context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        return [Payload.FromString((self._folder / claim.claim_data["path"]).read_bytes()) for claim in claims]

    def _store(self, workflow_id: str, payload: Payload) -> StorageDriverClaim:
        path = Path(workflow_id) / str(uuid.uuid4())
        (self._folder / workflow_id).mkdir(exist_ok=True)
        (self._folder / path).write_bytes(payload.SerializeToString())
        return StorageDriverClaim({"path": str(path)})


# Payloads of this size are stored in files.
STORED_BYTES = 5_000

CONVERTER = DataConverter(
    payload_codec=WorkflowCodec(), failure_converter_class=DefaultFailureConverterWithEncodedAttributes
)


def storing(folder: Path) -> DataConverter:
    """Returns the converter with an external storage in a folder."""
    storage = ExternalStorage(drivers=[FolderDriver(folder)], payload_size_threshold=STORED_BYTES)
    return dataclasses.replace(CONVERTER, external_storage=storage)


def converter_of(workflow_id: str) -> DataConverter:
    """Returns the converter, bound to an activity of the workflow as the SDK binds it."""
    context = ActivitySerializationContext(
        namespace="default",
        activity_id=None,
        activity_type=None,
        activity_task_queue=None,
        workflow_id=workflow_id,
        workflow_type=None,
        is_local=False,
    )
    return CONVERTER.with_context(context)
