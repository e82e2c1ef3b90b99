"""A process that receives a file, loads it, and may die at a point that is named: `process.py path source points`."""

import asyncio
import os
import sys
from pathlib import Path

from bezant.base.failpoints import arm
from bezant.base.log import configure
from bezant.reconciliation.files.states import Source
from tests.reconciliation.files.world import pieces_of, world_on

BATCH_LINES = 40


async def main(path: str, body: bytes, source: Source, points: str) -> None:
    async with world_on(os.environ["FILES_DATABASE_URL"], batch_lines=BATCH_LINES) as world:
        arm(points)
        psp = "acme" if source == "psp" else None
        new = await world.files.senders.new_file(source=source, name=path, by="tests", psp=psp)
        file, _ = await world.files.receive(new, pieces_of(body))
        await world.files.load.next(file.id)


if __name__ == "__main__":
    configure("json")
    asyncio.run(main(sys.argv[1], Path(sys.argv[1]).read_bytes(), sys.argv[2], sys.argv[3]))  # type: ignore[arg-type]
