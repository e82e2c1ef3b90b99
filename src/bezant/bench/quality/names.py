"""References as they come out of our connectors and out of PSPs' reports, and the slips that people make in them."""

from datetime import datetime
from random import Random
from typing import Final
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.bench.quality.shops import Account, Connector
from bezant.psp.reports import LineKind

_LETTERS_AND_DIGITS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_CAPITALS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_DIGITS: Final = "0123456789"
_LOOK_ALIKES: Final = {
    a: b for pair in ("0O", "1l", "5S", "8B", "2Z", "6b", "9g", "uv", "ce", "mn", "I1") for a, b in (pair, pair[::-1])
}


class Payment(msgspec.Struct, frozen=True):
    """Who is paid through whom. `names`: of the payment, as the PSP has it and as we have it."""

    id: UUID
    connector: Connector
    names: tuple[str, ...]
    charge: str
    """The PSP's name of the charge, where it differs from that of the payment: of all captures, or of the first."""
    authorization: str
    """Our attempt that authorized."""


class Names(msgspec.Struct, frozen=True):
    """Of one operation: its own in the ledger; in the report its own, and those of its payment."""

    ours: tuple[str, ...]
    reported: tuple[str, ...]
    reported_payment: tuple[str, ...]


def draw_payment(rng: Random, connector: Connector, at: datetime) -> Payment:
    """A new payment."""
    payment_id = ids.dated(at, str(rng.getrandbits(64)))
    ours = ids.show(ids.PAYMENT, payment_id)
    theirs, charge = {
        Connector.SIMULATOR: lambda: ("ch_" + _hex(rng, 24), ""),
        Connector.STRIPE: lambda: ("pi_3" + draw_text(rng, 23), "ch_3" + draw_text(rng, 23)),
        Connector.ADYEN: lambda: (draw_text(rng, 16, _CAPITALS), ""),
        Connector.PAYPAL: lambda: (draw_text(rng, 17, _CAPITALS), draw_text(rng, 17, _CAPITALS)),
    }[connector]()
    return Payment(payment_id, connector, (theirs, ours), charge, _attempt(rng))


def draw_names(rng: Random, payment: Payment, kind: LineKind, number: int = 0) -> Names:
    """Names of a new operation of `payment`, the capture of this `number`, here and in the PSP's report."""
    theirs, our_payment = payment.names
    attempt, operation = _attempt(rng), _operation(rng, payment, kind, number)
    ours = (attempt, operation)
    if kind in (LineKind.DISPUTE, LineKind.DISPUTE_REVERSED):
        ours = (f"{ids.DISPUTE}_{_hex(rng, 32)}:1", operation)
        attempt = payment.authorization
    if payment.connector is Connector.STRIPE:
        # Of a refund the report tells the refund's metadata, else the payment's.
        is_refund = kind in (LineKind.REFUND, LineKind.REFUND_FAILED)
        return Names(ours, (attempt, operation), (theirs,)) if is_refund else Names(ours, (operation,), payment.names)
    if payment.connector is Connector.PAYPAL:
        # What a row refers to is the authorization of a capture, and the capture of anything later.
        parent = theirs if kind is LineKind.CHARGE else payment.charge
        return Names(ours, (operation,), (parent, our_payment))
    if payment.connector is Connector.ADYEN:
        # A capture comes with the merchant reference of its authorization.
        reference = payment.authorization if kind is LineKind.CHARGE else attempt
        return Names(ours, (reference, operation), (theirs,))
    return Names(ours, (attempt, operation), (theirs,))


def draw_text(rng: Random, length: int, letters: str = _LETTERS_AND_DIGITS) -> str:
    """So many letters and digits."""
    return "".join(rng.choices(letters, k=length))


def payout_names(rng: Random, account: Account, number: int) -> tuple[tuple[str, ...], str]:
    """What the PSP's reports call a payout, and what its transfer tells the bank."""
    if account.connector is Connector.ADYEN:
        transfer = f"TX{draw_text(rng, 9, _DIGITS)}XT"
        return (f"{account.name} batch {number} {account.currency}", transfer), f"{transfer} batch {number}"
    if account.connector is Connector.SIMULATOR:
        name = "po_" + _hex(rng, 24)
        return (name,), name
    is_paypal = account.connector is Connector.PAYPAL
    name = draw_text(rng, 17, _CAPITALS) if is_paypal else "po_1" + draw_text(rng, 23)
    trace = draw_text(rng, 15, _CAPITALS)
    return (name, trace), trace


def slip(rng: Random, text: str) -> str:
    """`text` with one or two slips: a character dropped, doubled, taken for another, or two transposed."""
    for _ in range(rng.choices((1, 2), (75, 25))[0]):
        changed = text
        while changed == text:
            changed = _slipped(rng, text)
        text = changed
    return text


def reformatted(rng: Random, text: str) -> str:
    """`text` as another program writes it: in capitals, without underscores, or with blanks around it."""
    ways = (text.upper(), text.replace("_", ""), text.replace("_", "-"), f" {text} ", text.upper().replace("_", " "))
    return rng.choice(ways)


def _slipped(rng: Random, text: str) -> str:
    at = rng.randrange(1, len(text) - 1)
    way = rng.randrange(4)
    if way == 0:
        return text[:at] + text[at + 1 :]
    if way == 1:
        return text[:at] + text[at] + text[at:]
    if way == 2:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + _LOOK_ALIKES.get(text[at], text[at]) + text[at + 1 :]


def _attempt(rng: Random) -> str:
    return f"{ids.ATTEMPT}_{_hex(rng, 32)}"


def _hex(rng: Random, digits: int) -> str:
    return f"{rng.getrandbits(digits * 4):0{digits}x}"


def _operation(rng: Random, payment: Payment, kind: LineKind, number: int) -> str:
    if payment.connector is Connector.STRIPE:
        if kind is LineKind.CHARGE:
            return payment.charge
        return ("re_3" if kind in (LineKind.REFUND, LineKind.REFUND_FAILED) else "du_1") + draw_text(rng, 23)
    if payment.connector is Connector.ADYEN:
        return draw_text(rng, 16, _CAPITALS)
    if payment.connector is Connector.PAYPAL:
        return payment.charge if kind is LineKind.CHARGE and number == 0 else draw_text(rng, 17, _CAPITALS)
    return {LineKind.CHARGE: "cap_", LineKind.REFUND: "ref_"}.get(kind, "op_") + _hex(rng, 24)
