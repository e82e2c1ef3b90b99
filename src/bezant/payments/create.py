"""Create a payment, and unless told otherwise try to authorize it."""

from collections.abc import Mapping
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from bezant.base.errors import Forbidden, InvalidRequest, Unprocessable
from bezant.base.money import AMOUNT_MINOR_MAX, Money, is_currency
from bezant.payments.changes import start
from bezant.payments.command import Scene, take_lease
from bezant.payments.states import Attempt, Origin, Payment, Status, encode_json
from bezant.psp.contract import Customer, Manifest, Operation

METADATA_KEYS_MAX = 50

Text = Annotated[str, Meta(min_length=1, max_length=255)]
PaymentMethod = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]


class AmountInput(Money, frozen=True, forbid_unknown_fields=True):
    """An amount in minor units: 1 to 999,999,999,999."""

    value: Annotated[int, Meta(ge=1, le=AMOUNT_MINOR_MAX)]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]


class CreatePayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /payments`."""

    order_id: Text
    amount: AmountInput
    payment_method: PaymentMethod | None = None
    capture_strategy: Literal["automatic", "manual"] = "automatic"
    confirm: bool = True
    metadata: dict[Annotated[str, Meta(min_length=1, max_length=40)], Annotated[str, Meta(max_length=500)]] = {}
    customer: Customer | None = None
    description: Annotated[str, Meta(max_length=1000)] | None = None
    statement_descriptor: Annotated[str, Meta(min_length=5, max_length=22)] | None = None
    return_url: Annotated[str, Meta(max_length=2048, pattern=r"^https?://[^\s]+$")] | None = None
    psp: Annotated[str, Meta(pattern="^[a-z0-9_]{1,40}$")] | None = None


class Details(msgspec.Struct, frozen=True, omit_defaults=True):
    """What only the PSP needs of the request, kept as JSON."""

    customer: Customer | None = None
    description: str | None = None
    statement_descriptor: str | None = None
    return_url: str | None = None


def check(body: CreatePayment) -> None:
    """What the type cannot say. Raises InvalidRequest."""
    if body.confirm and body.payment_method is None:
        raise InvalidRequest(
            "invalid_request", "payment_method is required unless confirm is false.", param="/payment_method"
        )
    if len(body.metadata) > METADATA_KEYS_MAX:
        raise InvalidRequest("invalid_request", f"At most {METADATA_KEYS_MAX} keys.", param="/metadata")


def decide(scene: Scene) -> Attempt | None:
    """A new payment; with an attempt to authorize it unless `confirm` is false.

    It is made in the merchant's own account at the PSP where he has one that is active, else in the platform's.

    Raises Forbidden (`merchant_inactive`) and Unprocessable (`unsupported_currency`, `unknown_psp`).
    """
    body = scene.command.body
    assert isinstance(body, CreatePayment)
    if scene.access.merchant_status != "active":
        raise Forbidden("merchant_inactive", f"The merchant is {scene.access.merchant_status}: no new payments.")
    psp = body.psp or scene.access.psp
    account_id = scene.access.psp_accounts.get(psp)
    if account_id is None and psp not in scene.own_psps:
        raise _unknown_psp(psp)
    check_currency(scene.manifests, psp, body.amount.currency)
    payment = _payment(scene, body, psp, account_id)
    scene.changes.payments_new[payment.id] = payment
    scene.changes.emit(payment, "payment.created")
    if not body.confirm or body.payment_method is None:
        return None
    payment.tries = 1
    attempt = start(
        scene.changes,
        payment,
        Operation.AUTHORIZE,
        payment.amount_minor,
        Origin.CLIENT,
        body.payment_method,
        attempt_id=scene.command.attempt_id,
    )
    return take_lease(scene, attempt, scene.window)


def check_currency(manifests: Mapping[str, Manifest], psp: str, currency: str) -> None:
    """Raises Unprocessable for a PSP that is not set up or a currency that it, or ISO 4217, does not have."""
    manifest = manifests.get(psp)
    if manifest is None:
        raise _unknown_psp(psp)
    if not is_currency(currency) or (manifest.currencies is not None and currency not in manifest.currencies):
        raise Unprocessable(
            "unsupported_currency", f"{currency} cannot be paid through {psp}.", param="/amount/currency"
        )


def _unknown_psp(psp: str) -> Unprocessable:
    return Unprocessable("unknown_psp", f"No PSP named {psp!r} is set up.", param="/psp")


def _payment(scene: Scene, body: CreatePayment, psp: str, psp_account_id: UUID | None) -> Payment:
    command, changes = scene.command, scene.changes
    details = Details(body.customer, body.description, body.statement_descriptor, body.return_url)
    return Payment(
        id=command.payment_id,
        merchant_id=command.merchant_id,
        order_id=body.order_id,
        amount_minor=body.amount.value,
        currency=body.amount.currency,
        status=Status.PENDING,
        capture_strategy=body.capture_strategy,
        payment_method=body.payment_method,
        psp=psp,
        psp_account_id=psp_account_id,
        gateway_ref=None,
        idempotency_key=command.claim.idempotency_key,
        metadata=encode_json(body.metadata),
        details=encode_json(details),
        authorized_minor=0,
        captured_minor=0,
        refunded_minor=0,
        disputed_minor=0,
        released_minor=0,
        capturing_minor=0,
        refunding_minor=0,
        excess_captured_minor=0,
        excess_refunded_minor=0,
        settled_minor=0,
        disputed_open_minor=0,
        fee_basis_points=scene.access.fee_basis_points,
        fee_fixed_minor=scene.access.fee_fixed_minor,
        platform_fee_minor=0,
        tries=0,
        failure=None,
        next_action=None,
        action_at=None,
        failed_at=None,
        canceled_at=None,
        deadline_at=None,
        event_tx=0,
        event_position=0,
        created_at=changes.now,
        updated_at=changes.now,
    )
