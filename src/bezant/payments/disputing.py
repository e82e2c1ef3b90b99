"""What disputes do to a payment: its amounts, from which its status follows. The dispute itself is known elsewhere.

`find` and `lock` are the way in for whoever knows disputes: a payment's row is locked first, changed by the functions
here, and written by `write.write` with its journals and events like any other change.
"""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from bezant.base.db import Transaction
from bezant.payments import store
from bezant.payments.changes import Ages, Changes
from bezant.payments.states import Payment
from bezant.payments.store import Key

_NO_AGES = Ages(0, 0)


def part_of(payment: Payment, amount_minor: int, currency: str) -> int:
    """How much of the payment a dispute concerns: its amount, or, in another currency, all that is left."""
    return amount_minor if currency == payment.currency else payment.refundable_minor


def hold(payment: Payment, amount_minor: int) -> None:
    """A dispute takes a part of the payment. What goes back beyond what was captured is excess."""
    payment.disputed_minor += amount_minor
    payment.disputed_open_minor += amount_minor
    payment.weigh_refunds()


def decide(payment: Payment, amount_minor: int, *, is_won: bool) -> None:
    """A dispute of that part is decided: won, it is there again; lost, it is gone."""
    payment.disputed_open_minor -= amount_minor
    if is_won:
        payment.disputed_minor -= amount_minor
    payment.weigh_refunds()


def take_again(payment: Payment, amount_minor: int) -> None:
    """A dispute that was lost is undecided again."""
    payment.disputed_open_minor += amount_minor


async def find(transaction: Transaction, psp_names: Sequence[str]) -> Mapping[tuple[str, str], set[Key]]:
    """The payments that go by these names at a PSP, by PSP and name."""
    return await store.payments_by_name(transaction.connection, psp_names) if psp_names else {}


async def lock(transaction: Transaction, keys: Iterable[Key]) -> dict[UUID, Payment]:
    """The payments (id, merchant), locked in the order of their ids until the transaction ends."""
    return await store.lock_payments(transaction, set(keys))


def changes_in(transaction: Transaction) -> Changes:
    """What is to be written with the payments."""
    return Changes(transaction.now, transaction.xid, _NO_AGES)
