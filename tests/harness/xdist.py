"""Distributes the tests among the processes of a run (pytest -n 6). Each process has a separate server."""

import re

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

# Tests that share an expensive fixture run in one process. (xdist's own marks for
# this don't reach the scheduler under this version of pytest.)
GROUPS = re.compile(
    r"(e2e/test_restart|e2e/test_rate_limit)|(packages/test_\w+)|(interop/test_encrypted_by_server)|(workers/test_(?:idle|native|signals))|(e2e/test_demo).*\[(?:seed|linked)|\[([a-z]+_sdk)"
)


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        group = GROUPS.search(nodeid)
        return group[group.lastindex or 0] if group else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    return GroupScheduling(config, log)
