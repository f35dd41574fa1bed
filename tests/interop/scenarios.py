"""The scenarios, each for one child and one value, and their outcomes with the worker of an SDK.

Scenarios run concurrently: each is a generator that yields where it would wait, so that all wait at the same time.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from temporalio.api.common.v1 import Payload

from interop import cases
from interop.cases import Case
from interop.child import AS_IT_IS, Child, ChildError
from interop.documented_values import Row
from interop.peer_worker import Ending, PeerWorker
from interop.sdks import Sdk

K = TypeVar("K")
T = TypeVar("T")
Scenario = Generator[None, None, T]

# Long enough for one heartbeat on a busy machine.
SHORT_HEARTBEAT_TIMEOUT_MS = 2_000


class Outcomes(Generic[K, T]):
    """The outcome of each scenario. An error is raised when the outcome is looked up."""

    def __init__(self, scenarios: Mapping[K, Scenario[T]]) -> None:
        self._values: dict[K, T] = {}
        self._errors: dict[K, Exception] = {}
        running = dict(scenarios)
        while running:
            for key, scenario in list(running.items()):
                try:
                    next(scenario)
                    continue
                except StopIteration as end:
                    self._values[key] = end.value
                except Exception as error:
                    self._errors[key] = error
                del running[key]

    def __getitem__(self, key: K) -> T:
        if key in self._errors:
            raise self._errors[key]
        return self._values[key]


@dataclass(frozen=True)
class Written:
    stored: list[str]
    # The values that the SDK's next attempt read; None when it couldn't read them.
    seen: list[str] | None
    # None for an activity that the child didn't end.
    ending: Ending | None


def write(worker: PeerWorker, child: Child, row: Row, *, encrypts: bool = False) -> Scenario[Written]:
    """The child records details, the next attempt reads them with the SDK, and the child completes."""
    activity = worker.start(row, maximum_attempts=2, encrypts=encrypts)
    yield
    first = activity.attempt()
    child.heartbeat(first.token, row)
    stored = activity.stored()
    child.retry(first.token)
    yield
    second = activity.next()
    if isinstance(second, Ending):
        return Written(stored, None, second)
    if not row.stored:
        activity.terminate()
        return Written(stored, second.details, None)
    child.complete(second.token, row)
    yield
    return Written(stored, second.details, activity.ending())


@dataclass(frozen=True)
class Recorded:
    stored: list[str]
    # The values that each child reads, or its error.
    seen: dict[str, list[str] | str]


def record(worker: PeerWorker, children: Mapping[str, Child], row: Row) -> Scenario[Recorded]:
    """The SDK records details, and the child reads them in the next attempt."""
    activity = worker.start(row, records=True)
    yield
    token = activity.attempt().token
    seen: dict[str, list[str] | str] = {}
    for name, child in children.items():
        try:
            seen[name] = child.get_details(token, row)
        except ChildError as error:
            seen[name] = str(error)
    stored = activity.stored()
    activity.terminate()
    return Recorded(stored, seen)


def fail(worker: PeerWorker, child: Child, row: Row) -> Scenario[Ending]:
    """The child fails the activity without a retry, and the SDK's workflow reads the details."""
    activity = worker.start(row)
    yield
    child.fail(activity.attempt().token, row)
    yield
    return activity.ending()


def time_out(worker: PeerWorker, child: Child, row: Row) -> Scenario[Ending]:
    """The child records and then does nothing. The SDK's workflow reads the last details."""
    activity = worker.start(row, heartbeat_timeout_ms=SHORT_HEARTBEAT_TIMEOUT_MS, maximum_attempts=1)
    child.heartbeat(activity.attempt().token, row)
    yield
    return activity.ending()


def write_encoded(worker: PeerWorker, child: Child, row: Row) -> Scenario[Written]:
    """The same, with the codec in child and worker."""
    return write(worker, child, row, encrypts=True)


@dataclass(frozen=True)
class Decoded:
    # The values that the child read.
    seen: list[str]
    ending: Ending


def decode(worker: PeerWorker, child: Child, row: Row) -> Scenario[Decoded]:
    """The SDK records encrypted values, and the child with the same codec reads them and fails with them as details."""
    activity = worker.start(row, records=True, encrypts=True)
    yield
    token = activity.attempt().token
    seen = child.get_details(token, row)
    child.fail(token, row)
    yield
    return Decoded(seen, activity.ending())


@dataclass(frozen=True)
class Relayed:
    # What the SDK recorded, what the child read, and what the server held after the child recorded it again.
    recorded: list[Payload]
    read: list[str]
    held: list[Payload]
    # The values that the SDK's next attempt read.
    seen: list[str]
    ending: Ending


def relay(worker: PeerWorker, child: Child, row: Row) -> Scenario[Relayed]:
    """A child without the key records the values that the SDK encrypted again, and completes with them."""
    activity = worker.start(row, records=True, encrypts=True)
    yield
    second = activity.attempt()
    recorded = activity.stored_payloads()
    read = child.get_details(second.token, AS_IT_IS)
    child.heartbeat(second.token, AS_IT_IS)
    held = activity.stored_payloads()
    child.retry(second.token)
    yield
    third = activity.attempt()
    child.complete(third.token, AS_IT_IS)
    yield
    return Relayed(recorded, read, held, third.details, activity.ending())


def relay_failure(worker: PeerWorker, child: Child, row: Row) -> Scenario[Ending]:
    """The child fails with the SDK's encrypted values as the details."""
    activity = worker.start(row, records=True, encrypts=True)
    yield
    child.fail(activity.attempt().token, AS_IT_IS)
    yield
    return activity.ending()


class SdkScenarios:
    """The scenarios with the worker of one SDK. All of one kind run together when a test needs the first outcome."""

    def __init__(
        self, sdk: Sdk, worker: PeerWorker, children: Mapping[str, Child], codec_children: Mapping[str, Child]
    ) -> None:
        self.sdk = sdk
        self.children = children
        # The children that have the codec of the worker.
        self.codec_children = codec_children
        self._worker = worker

    @cached_property
    def written(self) -> Outcomes[Case, Written]:
        return self._run(write, cases.written())

    @cached_property
    def failed(self) -> Outcomes[Case, Ending]:
        return self._run(fail, cases.read_by(self.sdk))

    @cached_property
    def timed_out(self) -> Outcomes[Case, Ending]:
        return self._run(time_out, cases.read_by(self.sdk, ["c"]))

    @cached_property
    def relayed(self) -> Outcomes[Case, Relayed]:
        return self._run(relay, cases.encrypted_by(self.sdk))

    @cached_property
    def relayed_failures(self) -> Outcomes[Case, Ending]:
        return self._run(relay_failure, cases.encrypted_by(self.sdk))

    @cached_property
    def written_encoded(self) -> Outcomes[Case, Written]:
        return self._run(write_encoded, cases.with_codec_by(self.sdk), self.codec_children)

    @cached_property
    def decoded(self) -> Outcomes[Case, Decoded]:
        return self._run(decode, cases.decoded_by(self.sdk), self.codec_children)

    @cached_property
    def recorded(self) -> Outcomes[Row, Recorded]:
        return Outcomes({row: record(self._worker, self.children, row) for row in self.sdk.rows})

    def _run(
        self,
        scenario: Callable[[PeerWorker, Child, Row], Scenario[T]],
        chosen: Iterable[Case],
        children: Mapping[str, Child] | None = None,
    ) -> Outcomes[Case, T]:
        children = self.children if children is None else children
        return Outcomes({(name, row): scenario(self._worker, children[name], row) for name, row in chosen})
