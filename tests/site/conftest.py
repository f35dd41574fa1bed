"""`make check-site` sets THB_SITE: the test with a browser needs the built site, and takes minutes."""

import os

collect_ignore = [] if os.environ.get("THB_SITE") == "1" else ["test_browser.py"]
