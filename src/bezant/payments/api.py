"""The HTTP calls about payments and refunds: parse, call, render."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from bezant.base import ids
from bezant.base.errors import NotFound
from bezant.idempotency.claims import Claim, key_id, request_hash
from bezant.idempotency.claims import Reply as KeptReply
from bezant.payments import create as creation
from bezant.payments.cancel import CancelPayment
from bezant.payments.capture import CapturePayment
from bezant.payments.command import Command
from bezant.payments.confirm import ConfirmPayment
from bezant.payments.create import CreatePayment
from bezant.payments.flow import Flow
from bezant.payments.queries import Queries, RefundList, Timeline
from bezant.payments.refund import CreateRefund
from bezant.payments.render import ClientSecrets, PaymentView, PublicPaymentView, RefundView
from bezant.payments.states import Status
from bezant.web import Call, Page, PageQuery, Reply, Route

_STATE_ERRORS = {
    403: ("forbidden", "merchant_inactive"),
    409: ("invalid_state", "attempt_in_progress", "idempotency_key_in_use"),
    422: ("idempotency_key_reused", "amount_too_large", "currency_mismatch", "card_data_refused"),
    504: ("outcome_unknown",),
}


class ShowQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`client_secret` goes with a publishable key."""

    client_secret: Annotated[str, Meta(max_length=200)] | None = None


class ListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters of the list of payments; all that are given must hold."""

    order_id: Annotated[str, Meta(max_length=255)] | None = None
    status: Status | None = None
    psp_reference: Annotated[str, Meta(max_length=255)] | None = None
    created_gte: datetime | None = None
    created_lt: datetime | None = None


class PaymentsApi:
    """The calls, with what they need."""

    def __init__(self, flow: Flow, queries: Queries, secrets: ClientSecrets) -> None:
        self._flow = flow
        self._queries = queries
        self._secrets = secrets

    def routes(self) -> tuple[Route, ...]:
        """What is served and documented."""
        payment_replies = {200: PaymentView, 202: PaymentView}
        either_view = (PaymentView, PublicPaymentView)
        one, write, read = "/payments/{payment_id}", "payments:write", "payments:read"
        return (
            Route(
                "POST",
                "/payments",
                self.create,
                scope=write,
                idempotency="required",
                request=CreatePayment,
                responses=payment_replies,
                errors={
                    **_STATE_ERRORS,
                    422: ("idempotency_key_reused", "unsupported_currency", "unknown_psp", "card_data_refused"),
                },
            ),
            Route("GET", "/payments", self.list, scope=read, query=ListQuery, responses={200: Page[PaymentView]}),
            Route("GET", one, self.show, scope=read, publishable=True, query=ShowQuery, responses={200: either_view}),
            Route(
                "POST",
                one + "/confirm",
                self.confirm,
                scope=write,
                publishable=True,
                idempotency="required",
                request=ConfirmPayment,
                responses={200: either_view, 202: either_view},
                errors={
                    **_STATE_ERRORS,
                    403: ("forbidden", "merchant_inactive"),
                    422: (*_STATE_ERRORS[422], "psp_account_closed"),
                },
            ),
            Route(
                "POST",
                one + "/capture",
                self.capture,
                scope=write,
                idempotency="required",
                request=CapturePayment,
                responses=payment_replies,
                errors={**_STATE_ERRORS, 422: (*_STATE_ERRORS[422], "multi_capture_unsupported")},
            ),
            Route(
                "POST",
                one + "/cancel",
                self.cancel,
                scope=write,
                idempotency="required",
                request=CancelPayment,
                responses=payment_replies,
                errors=_STATE_ERRORS,
            ),
            Route(
                "POST",
                one + "/refunds",
                self.refund,
                scope=write,
                idempotency="required",
                request=CreateRefund,
                responses={200: RefundView, 202: RefundView},
                errors={**_STATE_ERRORS, 403: ("forbidden", "merchant_inactive")},
            ),
            Route("GET", one + "/refunds", self.refunds, scope=read, responses={200: RefundList}),
            Route("GET", "/refunds/{refund_id}", self.show_refund, scope=read, responses={200: RefundView}),
            Route("GET", one + "/timeline", self.timeline, scope=read, responses={200: Timeline}),
        )

    async def create(self, call: Call) -> Reply:
        """Create a payment.

        Authorizes it at once, and with `capture_strategy` `automatic` takes the money, unless `confirm` is false. 200
        when the outcome is known (a decline is `failed`), 202 while it is not: customer's action, slow rail, no
        answer.
        """
        body = call.read(CreatePayment)
        creation.check(body)
        return await self._perform(call, "create", ids.new_id(), body)

    async def list(self, call: Call) -> Reply:
        """List payments, newest first."""
        query = call.read_query(ListQuery)
        page = await self._queries.page(
            call.principal.merchant_id,
            order_id=query.order_id,
            status=query.status,
            psp_reference=query.psp_reference,
            created_gte=query.created_gte,
            created_lt=query.created_lt,
            cursor=query.cursor,
            limit=query.limit,
        )
        return Reply(200, msgspec.json.encode(page))

    async def show(self, call: Call) -> Reply:
        """Show a payment.

        With a secret key, an attempt that is not resolved is looked into first. With a publishable key and the
        `client_secret` a reduced view is given.
        """
        payment_id = _payment_id(call)
        from_browser = call.principal.kind == "publishable"
        if from_browser:
            self._require_secret(payment_id, call.read_query(ShowQuery).client_secret)
        return Reply(200, await self._flow.show(call.principal.merchant_id, payment_id, from_browser=from_browser))

    async def confirm(self, call: Call) -> Reply:
        """Confirm a payment.

        After the customer's action, or for a payment created with `confirm` false. From a browser a decline leaves
        the payment `pending` for another try, five at most.
        """
        payment_id, body = _payment_id(call), call.read(ConfirmPayment)
        from_browser = call.principal.kind == "publishable"
        if from_browser:
            self._require_secret(payment_id, body.client_secret)
        return await self._perform(call, "confirm", payment_id, body, from_browser=from_browser)

    async def capture(self, call: Call) -> Reply:
        """Capture an authorization.

        Without an amount what is left is captured. `final` false keeps the rest for further captures.
        """
        return await self._perform(call, "capture", _payment_id(call), call.read(CapturePayment))

    async def cancel(self, call: Call) -> Reply:
        """Cancel a payment.

        Releases what was authorized and not captured; also while the customer's action is awaited.
        """
        return await self._perform(call, "cancel", _payment_id(call), call.read(CancelPayment))

    async def refund(self, call: Call) -> Reply:
        """Refund a payment.

        Without an amount what is left is refunded.
        """
        return await self._perform(call, "refund", _payment_id(call), call.read(CreateRefund))

    async def refunds(self, call: Call) -> Reply:
        """List the refunds of a payment, oldest first."""
        refunds = await self._queries.refunds(call.principal.merchant_id, _payment_id(call))
        return Reply(200, msgspec.json.encode(refunds))

    async def show_refund(self, call: Call) -> Reply:
        """Show a refund."""
        refund_id = ids.parse(ids.REFUND, call.path_params["refund_id"])
        if refund_id is None:
            raise NotFound("There is no such refund.")
        return Reply(200, msgspec.json.encode(await self._queries.refund(call.principal.merchant_id, refund_id)))

    async def timeline(self, call: Call) -> Reply:
        """Show everything that happened to a payment.

        Attempts, calls to the PSP, journals, events, breaks, in order.
        """
        timeline = await self._queries.timeline(call.principal.merchant_id, _payment_id(call))
        return Reply(200, msgspec.json.encode(timeline))

    def _require_secret(self, payment_id: UUID, secret: str | None) -> None:
        if secret is None or not self._secrets.matches(payment_id, secret):
            raise NotFound("There is no such payment, or the client_secret is not its own.")

    async def _perform(
        self,
        call: Call,
        verb: Literal["create", "confirm", "capture", "cancel", "refund"],
        payment_id: UUID,
        body: msgspec.Struct,
        *,
        from_browser: bool = False,
    ) -> Reply:
        key, merchant_id = call.required_idempotency_key(), call.principal.merchant_id
        operation = f"{call.method} {call.path}"
        attempt_id = ids.child_of(payment_id)
        command = Command(
            key_id=call.principal.key_id,
            merchant_id=merchant_id,
            claim=Claim(
                id=key_id(merchant_id, operation, key),
                merchant_id=merchant_id,
                operation=operation,
                idempotency_key=key,
                request_hash=request_hash(call.body),
                claim_id=ids.new_id(),
                payment_id=payment_id,
                attempt_id=attempt_id,
            ),
            verb=verb,
            payment_id=payment_id,
            attempt_id=attempt_id,
            body=body,
            request_id=call.request_id,
            from_browser=from_browser,
        )
        return _reply(await self._flow.perform(command))


def _payment_id(call: Call) -> UUID:
    payment_id = ids.parse(ids.PAYMENT, call.path_params["payment_id"])
    if payment_id is None:
        raise NotFound("There is no such payment.")
    return payment_id


def _reply(kept: KeptReply) -> Reply:
    headers = {"Idempotent-Replayed": "true"} if kept.replayed else {}
    is_problem = kept.status >= 400
    return Reply(kept.status, kept.body, headers, "application/problem+json" if is_problem else "application/json")
