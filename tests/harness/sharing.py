"""How the tests are shared out among the processes of a run (pytest -n 4), each of which has a server of its own."""

import re

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

# Tests that stand on what one of them has made at some cost stay together. All others go wherever there is time.
# (xdist's own marks for this don't reach the scheduler under this version of pytest.)
TOGETHER = re.compile(
    r"(e2e/test_restart|e2e/test_rate_limit)|(packages/test_\w+)|(e2e/test_demo).*\[(?:seed|linked)|\[([a-z]+_sdk)"
)


class Sharing(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        together = TOGETHER.search(nodeid)
        return together[together.lastindex or 0] if together else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Sharing:
    return Sharing(config, log)
