"""Make, change, enable, disable and delete endpoints; rotate their secrets; send a test."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from msgspec import UNSET

from bezant.audit.record import By, record
from bezant.base import ids
from bezant.base.db import Database, Transaction
from bezant.base.errors import Conflict, NotFound, Unprocessable
from bezant.base.sealed import Sealer
from bezant.outbox.append import Event, append
from bezant.webhooks import store
from bezant.webhooks.addresses import UrlRefused
from bezant.webhooks.delivery.fan_out import delivery_id_of
from bezant.webhooks.delivery.redeliver import send_test
from bezant.webhooks.guard import Guard
from bezant.webhooks.rules import ENDPOINTS_MAX, SECRETS_MAX, TEST_EVENT
from bezant.webhooks.secrets import open_secrets, seal_secrets
from bezant.webhooks.sign import Secret, new_secret, rotated, valid
from bezant.webhooks.states import Delivery, DisabledReason, Endpoint, EndpointStatus
from bezant.webhooks.views import (
    CreateWebhookEndpoint,
    RotateWebhookSecret,
    TestData,
    UpdateWebhookEndpoint,
)

_REASON = "by the API"


class Endpoints:
    """The endpoints of merchants. What changes one happens in the caller's transaction."""

    def __init__(self, database: Database, sealer: Sealer, guard: Guard) -> None:
        self._database = database
        self._sealer = sealer
        self._guard = guard

    async def check_url(self, url: str) -> None:
        """Raises Unprocessable (`webhook_url_refused`). Asks the name servers, so no transaction may be open."""
        try:
            await self._guard.check(url)
        except UrlRefused as refused:
            raise Unprocessable("webhook_url_refused", str(refused), param="/url") from None

    async def create(
        self, transaction: Transaction, merchant_id: UUID, wanted: CreateWebhookEndpoint, claim_id: UUID | None, by: str
    ) -> tuple[Endpoint, str]:
        """A new endpoint and its secret. Raises Unprocessable (`too_many_webhook_endpoints`)."""
        if await store.lock_and_count(transaction, merchant_id) >= ENDPOINTS_MAX:
            raise Unprocessable(
                "too_many_webhook_endpoints", f"A merchant has at most {ENDPOINTS_MAX} endpoints; delete one first."
            )
        endpoint = Endpoint(
            id=ids.new_id(),
            merchant_id=merchant_id,
            url=wanted.url,
            description=wanted.description,
            event_types=list(dict.fromkeys(wanted.event_types)),
            status=EndpointStatus.ENABLED,
            disabled_reason=None,
            failing_since=None,
            created_at=transaction.now,
            updated_at=transaction.now,
        )
        secret = new_secret()
        sealed = seal_secrets(self._sealer, endpoint.id, [Secret(secret)])
        await store.insert(transaction, endpoint, *sealed, claim_id)
        await _audit(transaction, endpoint, "create_webhook_endpoint", by, _changeable(endpoint))
        return endpoint, secret

    async def made_under(self, transaction: Transaction, merchant_id: UUID, claim_id: UUID) -> tuple[Endpoint, str]:
        """The endpoint that was made under an Idempotency-Key, with its newest secret. Raises NotFound."""
        endpoint = await store.endpoint_by_claim(transaction.connection, merchant_id, claim_id)
        if endpoint is None:
            raise NotFound("The endpoint that this Idempotency-Key made was deleted.")
        return endpoint, (await self._secrets(transaction, endpoint))[0].value

    async def with_secret(self, transaction: Transaction, merchant_id: UUID, endpoint_id: UUID) -> tuple[Endpoint, str]:
        """An endpoint with its newest secret. Raises NotFound."""
        endpoint = await self._required(transaction, merchant_id, endpoint_id)
        return endpoint, (await self._secrets(transaction, endpoint))[0].value

    async def all(self, merchant_id: UUID) -> list[Endpoint]:
        """The merchant's endpoints."""
        async with self._database.connection() as connection:
            return await store.endpoints(connection, merchant_id)

    async def one(self, merchant_id: UUID, endpoint_id: UUID) -> Endpoint:
        """One endpoint. Raises NotFound."""
        async with self._database.connection() as connection:
            endpoint = await store.endpoint(connection, merchant_id, endpoint_id)
        if endpoint is None:
            raise _not_found()
        return endpoint

    async def update(
        self, transaction: Transaction, merchant_id: UUID, endpoint_id: UUID, wanted: UpdateWebhookEndpoint, by: str
    ) -> Endpoint:
        """Change what is given. What waits goes to the new URL; filters count from the next event on."""
        endpoint = await self._required(transaction, merchant_id, endpoint_id)
        changes = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not UNSET}
        if "event_types" in changes:
            changes["event_types"] = list(dict.fromkeys(changes["event_types"]))
        changed = msgspec.structs.replace(endpoint, **changes, updated_at=transaction.now)
        await store.update(transaction, changed)
        await _audit(transaction, changed, "update_webhook_endpoint", by, _changeable(changed))
        return changed

    async def enable(
        self, transaction: Transaction, merchant_id: UUID, endpoint_id: UUID, *, keep_waiting: bool, by: str
    ) -> Endpoint:
        """Send to it again, what has waited first, unless that is to be canceled. Harmless if it is enabled."""
        endpoint = await self._required(transaction, merchant_id, endpoint_id)
        if endpoint.status == EndpointStatus.ENABLED:
            return endpoint
        await store.enable(transaction, merchant_id, endpoint_id, "hurry" if keep_waiting else "cancel")
        await _audit(transaction, endpoint, "enable_webhook_endpoint", by, {"keep_waiting": keep_waiting})
        await _tell(transaction, endpoint, "webhook_endpoint.enabled", {})
        return await self._required(transaction, merchant_id, endpoint_id)

    async def disable(self, transaction: Transaction, merchant_id: UUID, endpoint_id: UUID, by: str) -> Endpoint:
        """Send nothing to it; events wait. Harmless if it is disabled."""
        endpoint = await self._required(transaction, merchant_id, endpoint_id)
        if endpoint.status == EndpointStatus.DISABLED:
            return endpoint
        await store.disable(transaction, merchant_id, endpoint_id)
        await _audit(transaction, endpoint, "disable_webhook_endpoint", by, {})
        reason = {"reason": DisabledReason.REQUESTED.value, "failing_since": endpoint.failing_since}
        await _tell(transaction, endpoint, "webhook_endpoint.disabled", reason)
        return await self._required(transaction, merchant_id, endpoint_id)

    async def delete(self, transaction: Transaction, merchant_id: UUID, endpoint_id: UUID, by: str) -> Endpoint:
        """Nothing is sent to it any more, and what waits is canceled."""
        endpoint = await self._required(transaction, merchant_id, endpoint_id)
        await store.delete(transaction, merchant_id, endpoint_id)
        await _audit(transaction, endpoint, "delete_webhook_endpoint", by, {})
        return msgspec.structs.replace(
            endpoint, status=EndpointStatus.DELETED, disabled_reason=None, updated_at=transaction.now
        )

    async def rotate_secret(
        self, transaction: Transaction, merchant_id: UUID, endpoint_id: UUID, wanted: RotateWebhookSecret, by: str
    ) -> tuple[Endpoint, str]:
        """A new secret; the older ones sign too for a while. Raises Conflict where too many do already."""
        endpoint = await self._required(transaction, merchant_id, endpoint_id)
        known = await self._secrets(transaction, endpoint)
        secret, until = new_secret(), transaction.now + timedelta(seconds=wanted.overlap_s)
        secrets = rotated(known, secret, transaction.now, until)
        if len(secrets) > SECRETS_MAX:
            raise Conflict(
                "invalid_state", f"{len(known)} secrets are valid: wait until one has ended, or send overlap_s 0."
            )
        await store.set_sealed(transaction, merchant_id, endpoint_id, *seal_secrets(self._sealer, endpoint_id, secrets))
        await _audit(transaction, endpoint, "rotate_webhook_secret", by, {"overlap_s": wanted.overlap_s})
        return msgspec.structs.replace(endpoint, updated_at=transaction.now), secret

    async def test(self, transaction: Transaction, merchant_id: UUID, endpoint_id: UUID) -> Delivery:
        """Send it a test event at once, whatever its filters, and even if it is disabled."""
        endpoint = await self._required(transaction, merchant_id, endpoint_id)
        data = TestData(ids.show(ids.WEBHOOK_ENDPOINT, endpoint_id))
        await _tell(transaction, endpoint, TEST_EVENT, msgspec.structs.asdict(data))
        event_id, tx, position = await store.last_event(transaction, merchant_id, TEST_EVENT)
        delivery_id = delivery_id_of(event_id, endpoint_id)
        await send_test(
            transaction, (delivery_id, merchant_id, endpoint_id, event_id, TEST_EVENT, event_id, tx, position)
        )
        delivery = await store.delivery(transaction.connection, merchant_id, delivery_id)
        assert delivery is not None  # it was inserted above
        return delivery

    async def _required(self, transaction: Transaction, merchant_id: UUID, endpoint_id: UUID) -> Endpoint:
        endpoint = await store.endpoint_for_change(transaction, merchant_id, endpoint_id)
        if endpoint is None:
            raise _not_found()
        return endpoint

    async def _secrets(self, transaction: Transaction, endpoint: Endpoint) -> Sequence[Secret]:
        """Those that are valid now, the newest first."""
        key_id, sealed = await store.sealed(transaction.connection, endpoint.merchant_id, endpoint.id)
        return valid(open_secrets(self._sealer, endpoint.id, key_id, sealed), transaction.now)


async def _tell(transaction: Transaction, endpoint: Endpoint, kind: str, data: Mapping[str, object]) -> None:
    shown = {"webhook_endpoint_id": ids.show(ids.WEBHOOK_ENDPOINT, endpoint.id)}
    event = Event(
        merchant_id=endpoint.merchant_id,
        payment_id=None,
        type=kind,
        tx=transaction.xid,
        position=0,
        data=msgspec.json.encode({**shown, **data}),
    )
    await append(transaction, [event])


async def _audit(
    transaction: Transaction, endpoint: Endpoint, action: str, by: str, detail: Mapping[str, object]
) -> None:
    subject = ids.show(ids.WEBHOOK_ENDPOINT, endpoint.id)
    await record(transaction, By(by, _REASON), action, subject, endpoint.merchant_id, detail)


def _changeable(endpoint: Endpoint) -> Mapping[str, object]:
    """What is written of an endpoint; a URL's query may hold a secret of the merchant's."""
    return {"url": endpoint.url.partition("?")[0], "event_types": endpoint.event_types}


def _not_found() -> NotFound:
    return NotFound("There is no such webhook endpoint.")
