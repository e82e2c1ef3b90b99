"""A client's command on its way through accept: who asks, under which key, for what."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from bezant.base.errors import Busy, Conflict, Forbidden, NotFound, Unprocessable
from bezant.base.money import Money
from bezant.idempotency.claims import Claim
from bezant.merchants.access import Access
from bezant.payments.changes import Changes
from bezant.payments.states import Attempt, AttemptStatus, Payment
from bezant.psp.contract import Manifest


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One request to change a payment. `claim.claim_id` is drawn per request."""

    key_id: UUID
    merchant_id: UUID
    claim: Claim
    verb: str
    payment_id: UUID
    attempt_id: UUID
    body: msgspec.Struct
    request_id: str
    from_browser: bool = False


class Scene(msgspec.Struct, kw_only=True):
    """What a verb decides upon: the payment under its lock, what is open of it, who asks, what the PSPs can do.

    `own_psps`: those at which the platform itself has an account.
    """

    command: Command
    access: Access
    payment: Payment | None
    attempts: Sequence[Attempt]
    manifests: Mapping[str, Manifest]
    own_psps: Collection[str]
    changes: Changes
    lease: timedelta
    window: timedelta


def required_payment(scene: Scene) -> Payment:
    """The payment that the command names. Raises NotFound: also where it is another merchant's."""
    if scene.payment is None or scene.payment.merchant_id != scene.command.merchant_id:
        raise NotFound("There is no such payment.")
    return scene.payment


def refuse_when_closed(scene: Scene) -> None:
    """Raises Forbidden where the merchant is closed: what he has left is given back by itself when it is overdue."""
    if scene.access.merchant_status == "closed":
        raise Forbidden("merchant_inactive", "The merchant is closed: only reads are left.")


def refuse_while_unresolved(scene: Scene) -> None:
    """Raises Busy while an authorization, capture or cancel of the payment is unresolved."""
    for attempt in scene.attempts:
        if attempt.is_unresolved and attempt.operation != "refund":
            raise Busy(
                "attempt_in_progress",
                f"An attempt to {attempt.operation} this payment is not resolved yet. Repeat later.",
                retry_after_s=1,
            )


def invalid_state(payment: Payment, verb: str) -> Conflict:
    """The refusal of a verb that the payment's status does not allow."""
    return Conflict("invalid_state", f"A payment that is {payment.status} cannot be {verb}.")


def amount_within(amount: Money | None, payment: Payment, limit_minor: int, what: str) -> int:
    """The amount in minor units that a command asks for; without one, the whole limit.

    Raises Unprocessable: `currency_mismatch` or `amount_too_large`.
    """
    if amount is None:
        return limit_minor
    if amount.currency != payment.currency:
        raise Unprocessable("currency_mismatch", f"The payment is in {payment.currency}.", param="/amount/currency")
    if amount.value > limit_minor:
        raise Unprocessable("amount_too_large", f"Only {limit_minor} can be {what}.", param="/amount/value")
    return amount.value


def take_lease(scene: Scene, attempt: Attempt, window: timedelta | None = None) -> Attempt:
    """Let the accepting process call the PSP: the attempt is being sent under a lease on the database's clock."""
    now = scene.changes.now
    attempt.status = AttemptStatus.SENDING
    attempt.lease_until = now + scene.lease
    attempt.next_check_at = attempt.lease_until
    attempt.execute_until = now + (window if window is not None else timedelta(days=30))
    return attempt
