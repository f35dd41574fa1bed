"""A data converter of the official SDK that encrypts, with a key of its own for each workflow."""

import hashlib
import os
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    PayloadCodec,
    SerializationContext,
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


CONVERTER = DataConverter(payload_codec=WorkflowCodec())


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
