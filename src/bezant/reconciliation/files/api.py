"""The HTTP calls about files of PSPs and banks, for the operator alone."""

from typing import Annotated

import msgspec
from msgspec import Meta

from bezant.base import ids
from bezant.reconciliation.files.bank_accounts import AddBankAccount, BankAccounts, BankAccountView, CloseBankAccount
from bezant.reconciliation.files.read_again import ReadAgain, ReadFileAgain
from bezant.reconciliation.files.receive import Receive
from bezant.reconciliation.files.records import (
    FileFilter,
    QuarantinedLineView,
    QuarantineFilter,
    Records,
    ReportFileView,
    view,
)
from bezant.reconciliation.files.senders import Senders
from bezant.reconciliation.files.states import Source
from bezant.web import Call, Page, Reply, Route, json_reply

READ, WRITE = "reconciliation:read", "reconciliation:write"


class ReceiveFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent in the body."""

    source: Source
    name: Annotated[str, Meta(max_length=200, description="The file's name.")]
    psp: Annotated[str, Meta(max_length=40, description="Of a report: the PSP.")] | None = None
    psp_account: (
        Annotated[
            str, Meta(max_length=63, description="Of a report: the name of the account; none: the platform's own.")
        ]
        | None
    ) = None
    format: Annotated[str, Meta(max_length=60, description="None: recognised by what is in it.")] | None = None


class BankAccountList(msgspec.Struct, frozen=True):
    """All accounts at banks."""

    data: list[BankAccountView]


class FilesApi:
    """The calls, with what they need."""

    def __init__(
        self,
        receive: Receive,
        read_again: ReadAgain,
        senders: Senders,
        records: Records,
        bank_accounts: BankAccounts,
        size_max: int,
    ) -> None:
        self._receive = receive
        self._read_again = read_again
        self._senders = senders
        self._records = records
        self._bank_accounts = bank_accounts
        self._size_max = size_max

    def routes(self) -> tuple[Route, ...]:
        """What is served and documented."""
        at, accounts_at = "/reconciliation/files", "/reconciliation/bank_accounts"
        return (
            Route(
                "POST", at, self.receive_file, scope=WRITE, operator=True, streamed=True, body_max=self._size_max,
                query=ReceiveFile, responses={200: ReportFileView, 201: ReportFileView},
                errors={409: ("invalid_state",)},
            ),
            Route(
                "GET", at, self.list_files, scope=READ, operator=True, query=FileFilter,
                responses={200: Page[ReportFileView]},
            ),
            Route(
                "GET", at + "/{file_id}", self.show_file, scope=READ, operator=True,
                responses={200: ReportFileView},
            ),
            Route(
                "POST", at + "/{file_id}/read_again", self.read_file_again, scope=WRITE, operator=True,
                request=ReadFileAgain, responses={201: ReportFileView}, errors={409: ("invalid_state",)},
            ),
            Route(
                "GET", "/reconciliation/quarantined_lines", self.list_quarantined_lines, scope=READ, operator=True,
                query=QuarantineFilter, responses={200: Page[QuarantinedLineView]}, errors={404: ("not_found",)},
            ),
            Route(
                "POST", accounts_at, self.add_bank_account, scope=WRITE, operator=True, request=AddBankAccount,
                responses={201: BankAccountView}, errors={409: ("invalid_state",)},
            ),
            Route(
                "GET", accounts_at, self.list_bank_accounts, scope=READ, operator=True,
                responses={200: BankAccountList},
            ),
            Route(
                "POST", accounts_at + "/{name}/close", self.close_bank_account, scope=WRITE, operator=True,
                request=CloseBankAccount, responses={200: BankAccountView},
            ),
        )  # fmt: skip

    async def receive_file(self, call: Call) -> Reply:
        """Send a report of a PSP or a bank statement.

        The body is the file as it came, not packed. It is kept as it is and loaded in the background: ask for it until
        its `state` is `loaded` or `refused`. 200 and not 201: this very file is there already, and is not loaded twice.
        """
        wanted = call.read_query(ReceiveFile)
        new = await self._senders.new_file(
            source=wanted.source,
            name=wanted.name,
            by=_caller(call),
            psp=wanted.psp,
            psp_account=wanted.psp_account,
            format_=wanted.format,
        )
        file, is_new = await self._receive(new, call.stream)
        return json_reply(201 if is_new else 200, view(file))

    async def list_files(self, call: Call) -> Reply:
        """List reports and statements, newest first."""
        return json_reply(200, await self._records.files(call.read_query(FileFilter)))

    async def show_file(self, call: Call) -> Reply:
        """Show a report or a statement: where it stands, what it brought, why it was refused."""
        return json_reply(200, await self._records.file(call.path_params["file_id"]))

    async def read_file_again(self, call: Call) -> Reply:
        """Have a file read again that was refused, or lines of which are in quarantine.

        For one that can be read now: its reader was mended, or its account is known. That is a file of its own over the
        same content: what was loaded before is only `repeated`, and stays if this one is refused.
        """
        wanted = call.read(ReadFileAgain)
        file = await self._read_again(call.path_params["file_id"], wanted, _caller(call))
        return json_reply(201, view(file))

    async def list_quarantined_lines(self, call: Call) -> Reply:
        """List the lines that were not loaded, each with its reason."""
        return json_reply(200, await self._records.quarantined(call.read_query(QuarantineFilter)))

    async def add_bank_account(self, call: Call) -> Reply:
        """Add an account at a bank, whose statements are then taken."""
        return json_reply(201, await self._bank_accounts.add(call.read(AddBankAccount), _caller(call)))

    async def list_bank_accounts(self, call: Call) -> Reply:
        """List the accounts at banks."""
        return json_reply(200, BankAccountList(await self._bank_accounts.all()))

    async def close_bank_account(self, call: Call) -> Reply:
        """Take no more statements of an account at a bank. What it reported stays."""
        reason = call.read(CloseBankAccount).reason
        return json_reply(200, await self._bank_accounts.close(call.path_params["name"], reason, _caller(call)))


def _caller(call: Call) -> str:
    return ids.show(ids.API_KEY, call.principal.key_id)
