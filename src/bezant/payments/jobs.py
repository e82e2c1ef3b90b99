"""What runs in the background for payments, and how often."""

from collections.abc import Sequence

from bezant.base.db import Database
from bezant.jobs.schedule import Job
from bezant.payments.changes import Ages
from bezant.payments.overdue import cancel_overdue
from bezant.payments.sync import Sync

_OVERDUE_EVERY_S = 5.0


def payment_jobs(database: Database, sync: Sync, ages: Ages, sync_interval_s: float) -> Sequence[Job]:
    """Resolve what is unresolved; cancel what is overdue."""

    async def cancel() -> int:
        return await cancel_overdue(database, ages)

    return (
        Job("payments.sync", sync.sweep, every_s=sync_interval_s),
        Job("payments.cancel_overdue", cancel, every_s=_OVERDUE_EVERY_S),
    )
