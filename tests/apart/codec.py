"""A DataConverter with a codec, for the workers and the processes of these tests."""

import dataclasses
import threading
from collections.abc import Sequence

from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter, PayloadCodec

ENCODING = b"binary/reversed"


class Reversing(PayloadCodec):
    """Stores payloads backwards."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(metadata={"encoding": ENCODING}, data=p.SerializeToString()[::-1]) for p in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(payload.data[::-1]) for payload in payloads]


class Unpicklable(Reversing):
    """Has something that no other process can have, such as an open key store."""

    def __init__(self) -> None:
        self._lock = threading.Lock()


def converter_of(codec: PayloadCodec) -> DataConverter:
    return dataclasses.replace(DataConverter.default, payload_codec=codec)


CONVERTERS = {"plain": None, "picklable": converter_of(Reversing()), "unpicklable": converter_of(Unpicklable())}
unpicklable = CONVERTERS["unpicklable"]
