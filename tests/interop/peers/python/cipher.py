"""A codec that encrypts payloads. It is simple and not secure, because tests need no secrecy. Every peer has it."""

from collections.abc import Sequence

from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

ENCODING = b"binary/encrypted"
KEY = 0x5A


class Cipher(PayloadCodec):
    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [_encrypted(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [_decrypted(payload) if payload.metadata["encoding"] == ENCODING else payload for payload in payloads]


def _encrypted(payload: Payload) -> Payload:
    return Payload(
        metadata={"encoding": ENCODING, "encryption-key-id": b"interop"}, data=_mixed(payload.SerializeToString())
    )


def _decrypted(payload: Payload) -> Payload:
    return Payload.FromString(_mixed(payload.data))


def _mixed(data: bytes) -> bytes:
    return bytes(byte ^ KEY for byte in data)
