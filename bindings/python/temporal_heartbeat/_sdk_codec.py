"""The codec of a ``data_converter`` of Temporal's SDK, of one of two kinds:

* a ``temporalio.converter.PayloadCodec``, which uses the SDK's payloads and coroutines;
* a ``temporalio.converter.DataConverter``. All its parts are used: the payload converter, the
  payload codec, the failure converter and the external storage.

Only imported if the SDK is already loaded.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any, Callable, Optional, Union

from temporalio import converter as sdk
from temporalio.api.common.v1 import Payload as SdkPayload
from temporalio.api.failure.v1 import Failure
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from ._codec import PLAIN_ENCODINGS, Codec, wait_for
from ._context import SerializationContext
from ._converter import from_payload, to_payload
from ._payload import Payload
from ._type_hints import NO_HINT
from .errors import InvalidArgumentError

__all__ = ["sdk_codec_of"]


def sdk_codec_of(data_converter: Any) -> Optional[Codec]:
    """Wraps an object of the SDK; None for any other object."""
    if isinstance(data_converter, sdk.DataConverter):
        return _SdkConverter(data_converter)
    if isinstance(data_converter, sdk.PayloadCodec):
        return _SdkCodec(data_converter)
    return None


class _SdkCodec(Codec):
    """Does the same with the SDK's ``PayloadCodec``."""

    def _bind(self, context: Callable[[], SerializationContext], require_encoded: bool) -> None:
        self._codec = _with_sdk_context(self._codec, context)

    def _encode(self, values: list[Any]) -> list[Payload]:
        sdk_payloads = [_to_sdk(to_payload(value)) for value in values]
        encoded = wait_for(self._codec.encode(sdk_payloads))
        return [_from_sdk(payload) for payload in encoded]

    def _decode(self, payloads: Sequence[Payload]) -> list[tuple[Any, Payload]]:
        decoded = wait_for(self._codec.decode([_to_sdk(payload) for payload in payloads]))
        return [(from_payload(payload), payload) for payload in map(_from_sdk, decoded)]


class _SdkConverter(Codec):
    """Does the same with the SDK's ``DataConverter``, which also converts the values."""

    def __init__(self, converter: Any) -> None:
        super().__init__(converter)
        encoding_kind = getattr(sdk, "DefaultFailureConverterWithEncodedAttributes", None)
        known = {sdk.DefaultFailureConverter: False, encoding_kind: True}
        kind = type(converter.failure_converter)
        self._has_usual_failures = kind in known
        self.encode_common_attributes = known.get(kind)

    @property
    def may_encrypt(self) -> bool:
        return self._codec.payload_codec is not None or self.encode_common_attributes is not False

    def failure_of(self, exception: Union[BaseException, str]) -> Optional[tuple[Any, bool]]:
        if self._has_usual_failures:
            return None
        failure = Failure()
        self._codec.failure_converter.to_failure(
            ApplicationError(exception) if isinstance(exception, str) else exception,
            self._codec.payload_converter,
            failure,
        )
        return failure, self._open_attributes(failure)

    def _open_attributes(self, failure: Any) -> bool:
        """Moves the encoded attributes of a failure and its causes to the usual fields.

        Returns whether there are any. Leaves those of an unknown form.
        """
        has_attributes = failure.HasField("encoded_attributes")
        if has_attributes:
            texts = None
            # Those of a received failure may be in any encoding.
            with contextlib.suppress(Exception):
                [texts] = self._codec.payload_converter.from_payloads([failure.encoded_attributes])
            if isinstance(texts, dict) and isinstance(texts.get("message"), str):
                failure.message = texts["message"]
                failure.stack_trace = texts.get("stack_trace") or ""
                failure.ClearField("encoded_attributes")
        in_cause = failure.HasField("cause") and self._open_attributes(failure.cause)
        return has_attributes or in_cause

    def _bind(self, context: Callable[[], SerializationContext], require_encoded: bool) -> None:
        storage = getattr(self._codec, "external_storage", None)
        if storage is not None:
            # First the storage: `replace` makes payload and failure converters without a context.
            self._codec = dataclasses.replace(
                self._codec, external_storage=_bound_storage(storage, context(), require_encoded)
            )
        self._codec = _with_sdk_context(self._codec, context)

    def _encode(self, values: list[Any]) -> list[Payload]:
        if not any(isinstance(value, Payload) for value in values):
            return [_from_sdk(payload) for payload in wait_for(self._codec.encode(values))]
        raw_values: list[Any] = []
        for value in values:
            is_payload = isinstance(value, Payload)
            converter = self._codec.payload_converter
            converted = [_to_sdk(value)] if is_payload else converter.to_payloads([value])
            raw_values += map(RawValue, converted)
        encoded = wait_for(self._without_conversion().encode(raw_values))
        return [_from_sdk(payload) for payload in encoded]

    def _decode(self, payloads: Sequence[Payload]) -> list[tuple[Any, Payload]]:
        sdk_payloads = [_to_sdk(payload) for payload in payloads]
        hints: list[Any] = [RawValue] * len(sdk_payloads)
        raw_values = wait_for(self._without_conversion().decode(sdk_payloads, hints))
        decoded = [raw.payload for raw in raw_values]
        values = self._codec.payload_converter.from_payloads(decoded)
        return list(zip(values, map(_from_sdk, decoded)))

    def typed_values(self, payloads: Sequence[Payload], hints: Sequence[Any]) -> list[Any]:
        converter = self._codec.payload_converter
        return [
            payload
            if hint is Payload
            else converter.from_payload(_to_sdk(payload), None if hint is NO_HINT else hint)
            for payload, hint in zip(payloads, hints)
        ]

    def _without_conversion(self) -> Any:
        """Returns a converter for RawValue, which a payload converter of its own may not know."""
        return dataclasses.replace(self._codec, payload_converter_class=sdk.DefaultPayloadConverter)


def _with_sdk_context(codec: Any, context: Callable[[], SerializationContext]) -> Any:
    """Returns the SDK's codec or converter for one activity. Older SDKs have no contexts."""
    kind = getattr(sdk, "WithSerializationContext", None)
    if kind is None or not isinstance(codec, kind):
        return codec
    ours = dataclasses.asdict(context())
    # Older versions have fewer fields.
    theirs = dataclasses.fields(sdk.ActivitySerializationContext)
    return codec.with_context(
        sdk.ActivitySerializationContext(**{field.name: ours[field.name] for field in theirs})
    )


def _bound_storage(storage: Any, context: SerializationContext, require_encoded: bool) -> Any:
    """Returns the external storage whose drivers get the workflow or the standalone activity."""
    if require_encoded:
        select = storage.driver_selector or (lambda *_: storage.drivers[0])

        def select_for_encoded(select_context: Any, payload: Any) -> Any:
            _refuse_plain(_from_sdk(payload))
            return select(select_context, payload)

        storage = dataclasses.replace(storage, driver_selector=select_for_encoded)
    if not hasattr(storage, "_with_store_context"):
        return storage  # another version of an interface that the SDK calls experimental
    if context.workflow_id:
        target: Any = sdk.StorageDriverWorkflowInfo(
            namespace=context.namespace,
            id=context.workflow_id,
            run_id=context.run_id,
            type=context.workflow_type,
        )
    else:
        target = sdk.StorageDriverActivityInfo(
            namespace=context.namespace,
            id=context.activity_id,
            run_id=context.run_id,
            type=context.activity_type,
        )
    return storage._with_store_context(sdk.StorageDriverStoreContext(target=target))


def _refuse_plain(payload: Payload) -> None:
    """Raises an error before a value that no codec has encoded reaches the external storage."""
    if payload.encoding in PLAIN_ENCODINGS and payload.encoding != "binary/null":
        raise InvalidArgumentError(
            f"a value would be readable in the external storage ({payload.encoding}), and"
            " require_encoded is set: give the DataConverter the payload_codec of your namespace"
        )


def _to_sdk(payload: Payload) -> SdkPayload:
    return SdkPayload.FromString(payload.to_bytes())


def _from_sdk(payload: SdkPayload) -> Payload:
    return Payload.from_bytes(payload.SerializeToString())
