"""Our accounts at banks: statements of any other account are refused."""

import re
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from bezant.audit.record import By, record
from bezant.base import ids
from bezant.base.db import Database, DataRefused, Row
from bezant.base.errors import Conflict, InvalidRequest, NotFound
from bezant.base.money import is_currency
from bezant.reconciliation.files import store
from bezant.reconciliation.files.bank_lines import normalised

_IDENTIFICATION: Final = re.compile(r"[A-Z0-9/.:-]{1,64}")
_NAME: Final = re.compile(r"[a-z0-9_-]{1,60}")

Reason = Annotated[str, Meta(min_length=3, max_length=500, description="Why; it is kept with who did it.")]


CountedStatements = Annotated[
    Literal["final", "interim"],
    Meta(
        description="Which statements bring money: `final` ones of whole days (camt.053, MT940), or `interim` ones "
        "(camt.052, camt.054, MT942), for an account of which no others come. The entries of the others are not "
        "counted, so that nothing counts twice."
    ),
]


class AddBankAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account whose statements are to be loaded."""

    name: Annotated[str, Meta(max_length=60, description="1 to 60 of a to z, 0 to 9, - and _.")]
    identification: Annotated[
        str, Meta(max_length=100, description="The IBAN, or the number that its statements show.")
    ]
    currency: Annotated[str | None, Meta(description="Left out: the account holds several.")] = None
    counts: CountedStatements = "final"
    reason: Reason


class CloseBankAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why statements of an account are refused from now on."""

    reason: Reason


class BankAccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account at a bank. `currency`: null where it holds several."""

    bank_account_id: str
    name: str
    identification: str
    currency: str | None
    counts: str
    created_at: datetime
    closed_at: datetime | None


class BankAccounts:
    """Adds, shows and closes them. Each change is audited in its own transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, new: AddBankAccount, actor: str) -> BankAccountView:
        """A new account. Raises InvalidRequest, and Conflict where the name or the account is there."""
        identification = normalised(new.identification)
        if not _NAME.fullmatch(new.name):
            raise InvalidRequest("invalid_request", "A name has 1 to 60 of a to z, 0 to 9, - and _.", param="/name")
        if not _IDENTIFICATION.fullmatch(identification):
            raise InvalidRequest(
                "invalid_request", "An account is an IBAN, or up to 64 of A to Z, 0 to 9, / . : and -.",
                param="/identification",
            )  # fmt: skip
        if new.currency is not None and not is_currency(new.currency):
            raise InvalidRequest("invalid_request", "That is no ISO 4217 currency, such as EUR.", param="/currency")
        by = By(actor, new.reason)
        try:
            async with self._database.transaction() as transaction:
                row = await store.add_bank_account(
                    transaction, ids.new_id(), new.name, identification, new.currency, new.counts
                )
                detail = {"identification": identification, "currency": new.currency, "counts": new.counts}
                await record(transaction, by, "add_bank_account", f"bank account {new.name}", None, detail)
        except DataRefused as refused:
            raise Conflict("invalid_state", "There is such an account already, by its name or number.") from refused
        return _view(row)

    async def all(self) -> list[BankAccountView]:
        """All of them, by name."""
        async with self._database.connection() as connection:
            return [_view(row) for row in await store.bank_accounts(connection)]

    async def close(self, name: str, reason: str, actor: str) -> BankAccountView:
        """Take no more statements of it. Raises NotFound where there is no open one of this name."""
        async with self._database.transaction() as transaction:
            row = await store.close_bank_account(transaction, name)
            if row is None:
                raise NotFound("There is no open bank account of this name.")
            await record(transaction, By(actor, reason), "close_bank_account", f"bank account {name}", None, {})
        return _view(row)


def _view(row: Row) -> BankAccountView:
    account_id, name, identification, currency, created_at, closed_at, counts = row
    return BankAccountView(
        bank_account_id=ids.show(ids.BANK_ACCOUNT, account_id),
        name=name,
        identification=identification,
        currency=currency,
        counts=counts,
        created_at=created_at,
        closed_at=closed_at,
    )
