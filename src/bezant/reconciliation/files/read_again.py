"""A person has a file read once more, e.g. because its reader was mended or its account is known now.

The second reading is a file of its own over the same bytes: what the first one brought stays where it is and is only
`repeated`, what was put aside then is loaded now if it can be read, and if all of it is refused again nothing is lost.
"""

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from bezant.audit.record import By, record
from bezant.base import ids
from bezant.base.db import Database, DataRefused
from bezant.base.errors import Conflict
from bezant.reconciliation.files import store
from bezant.reconciliation.files.bank_accounts import Reason
from bezant.reconciliation.files.records import Records, parsed_id
from bezant.reconciliation.files.senders import Senders
from bezant.reconciliation.files.states import FileState, ReportFile

_ONE_READING = "report_files_one_reading"


class ReadFileAgain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why, and as what."""

    reason: Reason
    format: Annotated[str, Meta(max_length=60, description="None: the one that it was read as.")] | None = None


class ReadAgain:
    """`arrived` is told when there is a file to load."""

    def __init__(self, database: Database, records: Records, senders: Senders, arrived: Callable[[], None]) -> None:
        self._database = database
        self._records = records
        self._senders = senders
        self._arrived = arrived

    async def __call__(self, file_id: str, wanted: ReadFileAgain, actor: str) -> ReportFile:
        """The file that will be loaded. Raises NotFound, InvalidRequest for a format that there is not, Conflict."""
        file = await self._records.kept(parsed_id(file_id))
        if file.state != FileState.REFUSED and not (file.state == FileState.LOADED and file.quarantined):
            raise Conflict("invalid_state", f"The file is {file.state}, and nothing of it was refused or put aside.")
        self._senders.refuse_unknown_format(file.source, file.psp, wanted.format)
        again_id = ids.new_id()
        detail: dict[str, object] = {"file": ids.show(ids.REPORT_FILE, again_id), "was": file.state}
        detail |= {"refusal": file.refusal, "quarantined": file.quarantined}
        try:
            async with self._database.transaction() as transaction:
                await store.read_again(transaction, file.id, again_id, wanted.format, actor)
                by = By(actor, wanted.reason)
                await record(transaction, by, "read_file_again", ids.show(ids.REPORT_FILE, file.id), None, detail)
        except DataRefused as refused:
            if refused.constraint != _ONE_READING:
                raise
            raise Conflict("invalid_state", "The file is being read again already.") from refused
        self._arrived()
        return await self._records.kept(again_id)
