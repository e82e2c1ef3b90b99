"""Whose a file is, by the names that whoever sends it gives."""

from collections.abc import Collection, Mapping

from bezant.banks.contract import Format
from bezant.base.db import Database
from bezant.base.errors import InvalidRequest
from bezant.psp.reports import Reports
from bezant.reconciliation.files import store
from bezant.reconciliation.files.states import NewFile, Source, checked_name


class Senders:
    """Checks what is said of a file before it is received."""

    def __init__(self, database: Database, reports: Mapping[str, Reports], formats: Mapping[str, Format]) -> None:
        self._database = database
        self._reports = reports
        self._formats = formats

    async def new_file(
        self,
        *,
        source: Source,
        name: str,
        by: str,
        psp: str | None = None,
        psp_account: str | None = None,
        format_: str | None = None,
    ) -> NewFile:
        """What is known of a file. Raises InvalidRequest, with the parameter, for what there is not."""
        if source == "bank":
            if psp is not None or psp_account is not None:
                raise InvalidRequest("invalid_request", "A bank statement is of no PSP.", param="/psp")
            self.refuse_unknown_format(source, psp, format_)
            return NewFile(source=source, psp=None, psp_account_id=None, format=format_, name=checked_name(name), by=by)
        if psp is None:
            raise InvalidRequest("invalid_request", "Say which PSP the report is of.", param="/psp")
        _known("PSP whose reports can be read", psp, self._reports, "/psp")
        self.refuse_unknown_format(source, psp, format_)
        account_id = None
        if psp_account is not None:
            async with self._database.connection() as connection:
                account_id = await store.psp_account(connection, psp_account, psp)
            if account_id is None:
                raise InvalidRequest(
                    "invalid_request", f"There is no account of this name at {psp}.", param="/psp_account"
                )
        return NewFile(
            source=source, psp=psp, psp_account_id=account_id, format=format_, name=checked_name(name), by=by
        )

    def refuse_unknown_format(self, source: Source, psp: str | None, format_: str | None) -> None:
        """Raises InvalidRequest for a format in which nothing comes from there."""
        if source == "bank":
            _known("format of bank statements", format_, self._formats, "/format")
        else:
            reports = self._reports.get(psp or "")
            _known(f"format of reports of {psp}", format_, () if reports is None else reports.formats, "/format")


def _known(what: str, name: str | None, known: Collection[str], param: str) -> None:
    if name is not None and name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise InvalidRequest("invalid_request", f"There is no such {what}; known: {there}.", param=param)
