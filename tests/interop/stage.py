"""One SDK's worker and the children, and the scenarios that have been run with them."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TypeVar

from interop import crossings, pairs
from interop.child import Child
from interop.crossings import Decoded, Outcomes, Recorded, Relayed, Scenario, Written
from interop.pairs import Pair
from interop.sdks import Sdk
from interop.table import Row
from interop.worker import Ending, Worker

T = TypeVar("T")


class Stage:
    """Each kind of scenario is run when its first outcome is asked for, for all children and values together."""

    def __init__(self, sdk: Sdk, worker: Worker, children: Mapping[str, Child], coded: Mapping[str, Child]) -> None:
        self.sdk = sdk
        self.children = children
        # Those that have the worker's codec.
        self.coded = coded
        self._worker = worker

    @cached_property
    def written(self) -> Outcomes[Pair, Written]:
        return self._run(crossings.write, pairs.written())

    @cached_property
    def failed(self) -> Outcomes[Pair, Ending]:
        return self._run(crossings.fail, pairs.read_by(self.sdk))

    @cached_property
    def timed_out(self) -> Outcomes[Pair, Ending]:
        return self._run(crossings.time_out, pairs.read_by(self.sdk, ["c"]))

    @cached_property
    def relayed(self) -> Outcomes[Pair, Relayed]:
        return self._run(crossings.relay, pairs.encrypted_by(self.sdk))

    @cached_property
    def relayed_failures(self) -> Outcomes[Pair, Ending]:
        return self._run(crossings.relay_failure, pairs.encrypted_by(self.sdk))

    @cached_property
    def written_encoded(self) -> Outcomes[Pair, Written]:
        return self._run(crossings.write_encoded, pairs.coded_by(self.sdk), self.coded)

    @cached_property
    def decoded(self) -> Outcomes[Pair, Decoded]:
        return self._run(crossings.decode, pairs.decoded_by(self.sdk), self.coded)

    @cached_property
    def recorded(self) -> Outcomes[Row, Recorded]:
        return Outcomes({row: crossings.record(self._worker, self.children, row) for row in self.sdk.rows})

    def _run(
        self,
        scenario: Callable[[Worker, Child, Row], Scenario[T]],
        run: Iterable[Pair],
        children: Mapping[str, Child] | None = None,
    ) -> Outcomes[Pair, T]:
        of = self.children if children is None else children
        return Outcomes({(name, row): scenario(self._worker, of[name], row) for name, row in run})
