"""The serialization context: the activity whose values a codec encodes or decodes."""

from __future__ import annotations

import dataclasses
import os
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Optional

from ._payload import parse_fields

__all__ = ["SerializationContext", "context_of"]


@dataclasses.dataclass(frozen=True)
class SerializationContext:
    """The activity whose values a codec encodes or decodes: see `PayloadCodec`.

    A codec can derive its key from it. The fields have the names and meanings of those in
    ``temporalio.converter.ActivitySerializationContext``, and ``run_id`` is added:

    * ``namespace``: the name of the connection's namespace; empty if it is unknown.
    * ``activity_id``, ``activity_type``, ``activity_task_queue``: of the activity.
    * ``workflow_id``, ``workflow_type``: of its workflow; a standalone activity has none.
    * ``run_id``: the run of the workflow, or of the standalone activity.
    * ``is_local``: always False.

    An unknown field is None. The task token has the ids, and usually the activity's type. The other
    fields are known only from the hand-off, or from the options of an `Activity`.
    """

    namespace: str = ""
    activity_id: Optional[str] = None
    activity_type: Optional[str] = None
    activity_task_queue: Optional[str] = None
    workflow_id: Optional[str] = None
    workflow_type: Optional[str] = None
    run_id: Optional[str] = None
    is_local: bool = False


_VARIABLES = {
    "activity_id": "TEMPORAL_ACTIVITY_ID",
    "activity_type": "TEMPORAL_ACTIVITY_TYPE",
    "activity_task_queue": "TEMPORAL_ACTIVITY_TASK_QUEUE",
    "workflow_id": "TEMPORAL_ACTIVITY_WORKFLOW_ID",
    "workflow_type": "TEMPORAL_ACTIVITY_WORKFLOW_TYPE",
    "run_id": "TEMPORAL_ACTIVITY_RUN_ID",
}

_IDS = ("workflow_id", "run_id", "activity_id")


def context_of(
    token: bytes, namespace: str, *, from_env: bool = False, **given: Optional[str]
) -> SerializationContext:
    """Returns the context of an activity. ``given`` has precedence over the token.

    The variables of the hand-off complete it if they are about the same activity, which they are
    with ``from_env``.
    """
    fields: dict[str, Any] = {
        **_fields_of_token(token),
        **{name: text for name, text in given.items() if text},
    }
    handed_over = _handed_over_fields()
    if from_env or (
        "activity_id" in fields and all(fields.get(name) == handed_over.get(name) for name in _IDS)
    ):
        fields = {**handed_over, **fields}
    return SerializationContext(namespace, **fields)


def _handed_over_fields() -> dict[str, str]:
    variables = {name: os.environ.get(variable, "") for name, variable in _VARIABLES.items()}
    try:
        token = b64decode(os.environ.get("TEMPORAL_ACTIVITY_TASK_TOKEN", ""))
    except ValueError:  # the library reports it
        token = b""
    return {**_fields_of_token(token), **{name: text for name, text in variables.items() if text}}


def _fields_of_token(token: bytes) -> dict[str, str]:
    """Returns the known fields in a task token; none if it has another format.

    The fields of ``temporal.server.api.token.v1.Task`` are 1 namespace_id, 2 workflow_id, 3 run_id,
    6 activity_id, 7 workflow_type, 8 activity_type, and 14 component_ref. A standalone activity has
    its id in the field 2 of component_ref, and its run in the field 3.
    """
    try:
        task = _fields(token)
        if not task.get(1):
            return {}
        ids = {"workflow_id": task.get(2), "run_id": task.get(3), "activity_id": task.get(6)}
        if not task.get(2):
            component = _fields(task.get(14, b""))
            ids = {"run_id": component.get(3), "activity_id": component.get(2)}
        found = {**ids, "workflow_type": task.get(7), "activity_type": task.get(8)}
        return {name: text.decode() for name, text in found.items() if text}
    except ValueError:
        return {}


def _fields(message: bytes) -> Mapping[int, bytes]:
    return {number: value for number, value, _ in parse_fields(message) if value is not None}
