"""The magic words: which payment method, or which word in `metadata.simulate`, makes what happen.

A payment method is `pm_card_<word>`. For later operations `metadata.simulate` holds words such as
`capture:timeout_after refund:500_after`; those sent with the operation win over those of the charge, and both over
what the payment method says (`pm_card_refund_fails`). How the webhooks of an operation come is a word of its own, so
`refund:async refund:webhook_twice` says both; a payment method that says it (`pm_card_webhook_twice`) says it of all
that happens to the charge.

A fault strikes an idempotency key once. A repeat of an `*_after` word finds the stored answer; a repeat of a
`*_before` word finds nothing and is executed. So a lost call can be resolved by repeating it, and until then by
nothing else. Without a key each try is struck.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from bezant_simulator.model import Delivery, DisputeStatus, Kind, Refusal

T = TypeVar("T")


class Decision(StrEnum):
    """What the PSP decides."""

    APPROVE = "approve"
    DECLINE = "decline"
    HALF = "half"
    """Authorize only half of what was asked."""
    LATER = "later"
    """Pending at first; decided by the clock."""
    CUSTOMER = "customer"
    """Pending until the customer has decided on a page."""


class Fault(StrEnum):
    """How the answer goes wrong."""

    TIMEOUT = "timeout"
    ERROR = "500"
    RESET = "reset"
    RATE_LIMIT = "rate_limit"


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """What one word means. `executes`: whether the fault strikes after the work was done. `fails_later`: a refund
    that succeeds at first. `dispute`: how the dispute ends that follows the capture.
    """

    decision: Decision = Decision.APPROVE
    refusal: Refusal | None = None
    fault: Fault | None = None
    executes: bool = True
    delay_s: float = 0.0
    page: str | None = None
    later: Mapping[Kind, str] = MappingProxyType({})
    delivery: Delivery = Delivery.NORMAL
    fails_later: bool = False
    dispute: DisputeStatus | None = None


def _decline(code: str, message: str, decline_code: str | None = None) -> Behaviour:
    return Behaviour(decision=Decision.DECLINE, refusal=Refusal("card_error", code, message, decline_code or code))


APPROVE: Final = Behaviour()
FAILED: Final = {
    Kind.AUTHORIZE: Refusal("card_error", "card_declined", "The issuer refused the card.", "generic_decline"),
    Kind.CAPTURE: Refusal("card_error", "capture_failed", "The acquirer refused the capture.", "acquirer_refused"),
    Kind.CANCEL: Refusal("card_error", "cancel_failed", "The acquirer refused the release.", "acquirer_refused"),
    Kind.REFUND: Refusal("card_error", "refund_failed", "The acquirer refused the refund.", "acquirer_refused"),
}
"""What an operation is refused with where the word does not name a reason."""

_FAILS: Final = Behaviour(decision=Decision.DECLINE)

WORDS: Final[Mapping[str, Behaviour]] = {
    **dict.fromkeys(("visa", "mastercard", "amex", "discover", "diners", "jcb", "unionpay"), APPROVE),
    "approve": APPROVE,
    "declined": _FAILS,
    "fails": _FAILS,
    "insufficient_funds": _decline("card_declined", "The card has insufficient funds.", "insufficient_funds"),
    "expired": _decline("expired_card", "The card has expired."),
    "stolen": _decline("card_declined", "The card was reported stolen.", "stolen_card"),
    "3ds": Behaviour(decision=Decision.CUSTOMER, page="3ds"),
    "async": Behaviour(decision=Decision.LATER),
    "async_fails": Behaviour(decision=Decision.LATER, refusal=FAILED[Kind.AUTHORIZE]),
    "partial": Behaviour(decision=Decision.HALF),
    "timeout_after": Behaviour(fault=Fault.TIMEOUT),
    "timeout_before": Behaviour(fault=Fault.TIMEOUT, executes=False),
    "500_after": Behaviour(fault=Fault.ERROR),
    "500_before": Behaviour(fault=Fault.ERROR, executes=False),
    "reset_after": Behaviour(fault=Fault.RESET),
    "reset_before": Behaviour(fault=Fault.RESET, executes=False),
    "rate_limited": Behaviour(fault=Fault.RATE_LIMIT, executes=False),
    "slow_2s": Behaviour(delay_s=2.0),
    "capture_fails": Behaviour(later={Kind.CAPTURE: "fails"}),
    "refund_fails": Behaviour(later={Kind.REFUND: "fails"}),
    "refund_async": Behaviour(later={Kind.REFUND: "async"}),
    "refund_async_fails": Behaviour(later={Kind.REFUND: "async_fails"}),
    "webhook_first": Behaviour(delivery=Delivery.FIRST),
    "webhook_twice": Behaviour(delivery=Delivery.TWICE),
    "webhook_shuffled": Behaviour(delivery=Delivery.SHUFFLED),
    "dispute_lost": Behaviour(dispute=DisputeStatus.LOST),
    "dispute_won": Behaviour(dispute=DisputeStatus.WON),
}

_LATER_WORDS: Final[Mapping[str, Behaviour]] = {**WORDS, "fails_later": Behaviour(fails_later=True)}
"""What may be said of a capture, cancel or refund."""

_DELIVERIES: Final[Mapping[str, Delivery]] = {
    **{word: behaviour.delivery for word, behaviour in WORDS.items() if behaviour.delivery is not Delivery.NORMAL},
    "webhook_never": Delivery.NEVER,
}

_WALLET: Final = Behaviour(decision=Decision.CUSTOMER, page="wallet")


def of_method(payment_method: str) -> Behaviour | None:
    """What a payment method does on authorization; None where there is no such method."""
    if payment_method == "pm_wallet":
        return _WALLET
    head, _, word = payment_method.partition("pm_card_")
    return None if head else WORDS.get(word)


def of_authorization(payment_method: str, metadata: Mapping[str, str]) -> Behaviour | None:
    """What a payment method does on authorization, with the delivery that `metadata` asks for."""
    method = of_method(payment_method)
    if method is None or "simulate" not in metadata:
        return method
    return _delivered(method, next(_words(_DELIVERIES, Kind.AUTHORIZE, metadata), method.delivery))


def of_operation(kind: Kind, payment_method: str, *metadata: Mapping[str, str]) -> Behaviour:
    """What a later operation does: the first word for `kind` in `metadata`, else what the payment method says of it."""
    method = of_method(payment_method) or APPROVE
    behaviour = WORDS[method.later[kind]] if kind in method.later else APPROVE
    delivery = method.delivery
    if any(metadata):
        words = (word for word in _words(_LATER_WORDS, kind, *metadata) if word.delivery is Delivery.NORMAL)
        behaviour = next(words, behaviour)
        delivery = next(_words(_DELIVERIES, kind, *metadata), delivery)
    return _delivered(behaviour, delivery)


def of_dispute(verb: str, metadata: Mapping[str, str]) -> Behaviour:
    """What an answer to a dispute does: the first word for `evidence` or `accept` in the charge's metadata."""
    return next(_words(_LATER_WORDS, verb, metadata), APPROVE)


def _words(table: Mapping[str, T], kind: str, *metadata: Mapping[str, str]) -> Iterator[T]:
    """What the table says of each word that is meant for `kind`."""
    for words in metadata:
        for item in words.get("simulate", "").split():
            operation, _, word = item.partition(":")
            if operation == kind and word in table:
                yield table[word]


def _delivered(behaviour: Behaviour, delivery: Delivery) -> Behaviour:
    if behaviour.delivery is delivery:
        return behaviour
    return msgspec.structs.replace(behaviour, delivery=delivery)
