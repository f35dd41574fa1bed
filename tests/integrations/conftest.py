"""`make check-integrations` sets THB_INTEGRATIONS. These tests need engines that `make venv` doesn't install."""

import os

from integrations.kills import kills as kills

collect_ignore_glob = [] if os.environ.get("THB_INTEGRATIONS") == "1" else ["test_*.py"]
