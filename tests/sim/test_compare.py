"""The model of the simulation agrees with the server of the test run. `make sim-compare` also waits for timers."""

from harness.activities import KINDS
from harness.requires import unsupported
from harness.server import OLDEST, Server
from harness.worker import SdkWorker
from sim.compare.model import Model
from sim.compare.run import compare, model_program

SIZE_LIMIT = 2 * 1024 * 1024
SEEDS = range(15)


def test_model_agrees_with_the_server(server: Server, sdk_worker: SdkWorker) -> None:
    assert differences(sdk_worker, server.version[1]) == []


def test_model_of_an_older_server_disagrees(server: Server, sdk_worker: SdkWorker) -> None:
    if server.version < OLDEST:
        unsupported("a server that differs from the one before it")
    assert differences(sdk_worker, 31)


def differences(sdk_worker: SdkWorker, modelled_version: int) -> list[str]:
    kinds = KINDS if sdk_worker.has_standalone else KINDS[:1]
    with Model(model_program(), modelled_version, SIZE_LIMIT) as model:
        return sdk_worker.run(compare(sdk_worker.client, model, kinds, SEEDS, is_quick=True), 300).differences
