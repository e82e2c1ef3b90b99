"""In which shard an event is, also one that was said before there were shards."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from bezant.base import ids
from bezant.base.migrate import migrate
from bezant.outbox.append import shard_of

MIGRATIONS = Path(__file__).parents[2] / "migrations"
_SAY = """
INSERT INTO outbox_events (id, merchant_id, payment_id, type, tx, position, data, created_at)
VALUES ($1, $2, $3, 'payment.created', 1, $4, '{}', $5)
"""


async def test_events_of_before_there_were_shards_are_with_those_that_follow(
    empty_database_url: str, tmp_path: Path
) -> None:
    for path in sorted(MIGRATIONS.glob("000[1-6]_*.sql")):
        shutil.copy(path, tmp_path)
    assert len(await migrate(empty_database_url, tmp_path)) == 6
    merchant_id = ids.new_id()
    payments = [ids.new_id() for _ in range(40)]
    connection = await asyncpg.connect(empty_database_url)
    for number, payment_id in enumerate([*payments, None]):
        await connection.execute(_SAY, ids.new_id(), merchant_id, payment_id, number, datetime.now(UTC))
    assert await migrate(empty_database_url)
    rows = await connection.fetch("SELECT payment_id, shard FROM outbox_events")
    await connection.close()
    shards = {row[0]: row[1] for row in rows}
    assert shards == {each: shard_of(merchant_id, each) for each in [*payments, None]}
    assert len(set(shards.values())) > 1
