"""The workflow: one Activity, which is retried until a process completes it."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

HEARTBEAT_TIMEOUT = timedelta(seconds=2)
PROCESS_ITEMS = "process_items"


@workflow.defn
class Relay:
    @workflow.run
    async def run(self, items: int) -> int:
        result: int = await workflow.execute_activity(
            PROCESS_ITEMS,
            items,
            result_type=int,
            start_to_close_timeout=timedelta(hours=1),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100), backoff_coefficient=1),
        )
        return result
