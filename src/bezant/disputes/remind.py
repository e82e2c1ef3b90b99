"""Remind merchants of deadlines, by events: some days before evidence is due, once each."""

from typing import Final

from bezant.base.db import Database
from bezant.disputes import rules, store
from bezant.disputes.desk import Desk

DAYS_BEFORE: Final = (7, 3, 1)
_BATCH: Final = 100


async def remind(database: Database) -> int:
    """Tell what is due of some payments' disputes; how many payments were looked at."""
    async with database.connection() as connection:
        keys = await store.to_remind(connection, DAYS_BEFORE, _BATCH)
    if not keys:
        return 0
    async with database.transaction() as transaction:
        desk = await Desk.load(transaction, keys)
        for case in desk.cases():
            days = rules.reminder(case.dispute, DAYS_BEFORE, transaction.now)
            if days is not None:
                case.dispute.reminded_days = days
                case.tell("dispute.evidence_due", {"days_left": days})
        await desk.write()
    return len(keys)
