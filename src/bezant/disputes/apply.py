"""What PSPs tell of disputes, webhooks and reports alike: into the books, in the inbox's transaction."""

from collections.abc import Collection, Sequence

from bezant.base import ids
from bezant.base.db import Transaction
from bezant.base.money import AMOUNT_MINOR_MAX, is_currency
from bezant.disputes import rules, store
from bezant.disputes.desk import Desk
from bezant.disputes.rules import Weight
from bezant.disputes.store import Key, Name
from bezant.inbox.contract import Applied, Aside, Effect, Told, Waits
from bezant.payments.disputing import find
from bezant.payments.states import Payment
from bezant.psp.notices import DisputeNotice

_REFERENCE_MAX = 255


class Hear:
    """Handles batches of notices about disputes. Repeating a batch changes nothing more.

    `askable`: PSPs that can be asked about a dispute. What contradicts what stands there is noted, and resolved by a
    look (`look.py`); so it is applied, and holds nothing else up.
    """

    def __init__(self, askable: Collection[str]) -> None:
        self._askable = askable

    async def __call__(self, transaction: Transaction, told: Sequence[Told]) -> Sequence[Effect]:
        """What became of each notice, in their order. Raises DataRefused where the database refuses any of it."""
        owners = await _owners(transaction, told)
        desk = await Desk.load(transaction, {key for keys in owners for key in keys})
        effects = [self._hear(desk, item, keys) for item, keys in zip(told, owners, strict=True)]
        await desk.write()
        return effects

    def _hear(self, desk: Desk, told: Told, owners: Sequence[Key]) -> Effect:
        notice = _notice(told)
        case = desk.named(_name(told))
        if not _can_be_kept(notice):
            return Aside("names a dispute in a way that cannot be kept")
        if case is None:
            payment = _own_payment(desk, told, owners)
            if not isinstance(payment, Payment):
                return payment
            if not payment.captured_minor:
                return Waits("disputed before it is known to be captured")
            case = desk.begin(payment, notice)
        weight = Weight.FACT if told.confirmed else Weight.WORD if told.trusted else Weight.HINT
        rules.hear(case, notice, weight, can_ask=told.psp in self._askable)
        return Applied((case.payment.id, case.payment.merchant_id))


async def _owners(transaction: Transaction, told: Sequence[Told]) -> list[list[Key]]:
    """The payments that each notice may be about: the dispute's, where it is known, else those with its names."""
    known = await store.known(transaction.connection, {_name(item) for item in told})
    unknown = [item for item in told if _name(item) not in known]
    references = sorted({r for item in unknown if (r := _notice(item).psp_reference)})
    by_name = await find(transaction, references)
    return [
        [known[_name(item)]]
        if _name(item) in known
        else sorted(by_name.get((item.psp, _notice(item).psp_reference or ""), ()))
        for item in told
    ]


def _own_payment(desk: Desk, told: Told, owners: Sequence[Key]) -> Payment | Effect:
    """The payment that a dispute is about, made in the account that tells of it."""
    payments = [desk.payments[key[0]] for key in owners]
    own = [p for p in payments if p.psp == told.psp and p.psp_account_id == told.psp_account_id]
    if not payments:
        return Waits("names nothing that is known here")
    if not own:
        return Aside("names a payment of another account")
    if len(own) > 1:
        return Aside("names more than one payment: " + ", ".join(ids.show(ids.PAYMENT, p.id) for p in own))
    return own[0]


def _can_be_kept(notice: DisputeNotice) -> bool:
    name = notice.dispute_reference
    is_named = 1 <= len(name) <= _REFERENCE_MAX and name.isprintable()
    return is_named and 1 <= notice.amount_minor <= AMOUNT_MINOR_MAX and is_currency(notice.currency)


def _name(told: Told) -> Name:
    return (told.psp, told.psp_account_id, _notice(told).dispute_reference)


def _notice(told: Told) -> DisputeNotice:
    if not isinstance(told.notice, DisputeNotice):
        raise AssertionError("the table of handlers sends only notices about disputes here")
    return told.notice
