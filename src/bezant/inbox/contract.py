"""What the inbox needs from others: whose webhooks are expected, who handles notices, and who can ask a PSP."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from bezant.base.db import Transaction
from bezant.psp.contract import Ask, Credentials, Outcome
from bezant.psp.notices import DisputeNotice, Notice, Webhooks


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account at a PSP whose webhooks are expected.

    `id` and `merchant_id` are None for the platform's own. With no `secrets` nothing can be verified, so everything is
    refused. Never logged.
    """

    psp: str
    id: UUID | None
    merchant_id: UUID | None
    webhooks: Webhooks
    secrets: Sequence[str]
    credentials: Credentials


class Accounts(Protocol):
    """Finds the account that an address names: a PSP, and the account's name (None: the platform's own).

    None where there is no such account, or its PSP sends no webhooks. A closed account is found: it still hears of
    what it holds.
    """

    def __call__(self, psp: str, name: str | None, /) -> Awaitable[Account | None]: ...


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One notice on its way to its handler. `event_id`: the event, as the inbox keeps it.

    `trusted`: the PSP signs enough for its word to move money. `confirmed`: the PSP was asked, and `notice.outcome` is
    its answer now.
    """

    event_id: UUID
    psp: str
    psp_account_id: UUID | None
    notice: Notice | DisputeNotice
    trusted: bool = True
    confirmed: bool = False


class Applied(msgspec.Struct, frozen=True):
    """Its effect is in the books, or was there already. `payment`: id and merchant, where it concerns one."""

    payment: tuple[UUID, UUID] | None


class Waits(msgspec.Struct, frozen=True):
    """It comes before our own record of the call, or belongs to nobody yet: tried again with back-off."""

    reason: str


class Aside(msgspec.Struct, frozen=True):
    """It will never be applied, e.g. because it names another account's payment; a person may look at it."""

    reason: str


class Reread(msgspec.Struct, frozen=True):
    """It contradicts what stands, or was signed too little: the PSP is asked before anything is booked.

    `payment`: id and merchant of the payment that it concerns. The notice then comes again, confirmed, with the PSP's
    answer as its outcome.
    """

    ask: Ask
    payment: tuple[UUID, UUID]


Effect = Applied | Waits | Aside | Reread

Handler = Callable[[Transaction, Sequence[Told]], Awaitable[Sequence[Effect]]]
"""Puts notices into the books within the transaction; the effect of each, in their order.

For everything but `Applied` it has written nothing of that notice. It may be given the same notice again, also after
`Applied`, and then changes nothing more. What it raises rolls the transaction back; the notices are then given one
event at a time, so that only those at fault wait.
"""

Handlers = Mapping[type[Notice] | type[DisputeNotice], Handler]
"""Who handles which notices. An event with a notice of a class that is missing stands aside until it is there."""

AskPsp = Callable[[str, UUID | None, Reread], Awaitable[Outcome]]
"""The outcome of what is to be asked, as an account (None: the platform's own) of a PSP shows it now. Moves no money.

Called with no transaction open.
"""
