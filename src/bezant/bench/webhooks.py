"""`bezant bench webhooks`: a storm of signed events, then a steady stream, beside the payments bench."""

import asyncio
import hmac
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar
from uuid import UUID

import msgspec

from bezant.base import ids
from bezant.base.db import Connection, Database
from bezant.base.errors import OperatorError
from bezant.bench import store
from bezant.bench.api import Api, api_process, merchant_key, watched
from bezant.bench.figures import Figures
from bezant.bench.load import Load, closed_loop, create_payment_request, open_loop
from bezant.bench.place import cpu_seconds, family_of, fresh_database, memory_mb, pgbench_tps
from bezant.bench.transport import PENDING_METHOD, charge_of
from bezant.verify.run import verify

T = TypeVar("T")

_SECRET = "bench-webhook-secret-that-protects-nothing"  # noqa: S105
_PATH = "/internal/webhooks/psp/simulator"
_SETTINGS = {
    "BEZANT_PSP_SIMULATOR_WEBHOOK_SECRET": _SECRET,
    "BEZANT_INBOX_RATE_LIMIT_PER_S": "1000000",
    "BEZANT_SYNC_INTERVAL_S": "3600",  # the PSP in process cannot be asked what became of a charge
}
_SETTLE_MAX_S = 120.0


class WebhooksBench(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. Of the storm's `events` these parts are repeats, of unknown types, and forged."""

    events: int = 20_000
    repeated: float = 0.30
    unknown: float = 0.01
    forged: float = 0.01
    rate_per_s: float = 500.0
    seconds: float = 15.0
    connections: int = 256
    pgbench_seconds: int = 10


class _Storm(msgspec.Struct, frozen=True):
    requests: Sequence[bytes]
    genuine: int
    unknown: int
    forged: int


async def bench_webhooks(server_url: str, wanted: WebhooksBench, progress: Callable[[str], None]) -> list[Figures]:
    """Run it on fresh databases. Raises OperatorError where an event is lost, applied twice or wrongly believed."""
    progress("pgbench: the unit")
    unit_tps = await pgbench_tps(server_url, wanted.pgbench_seconds)
    payments = await _payments(server_url, wanted, progress)
    async with fresh_database(server_url, migrated=True) as url:
        key = await merchant_key(url)
        async with api_process(url, more=_SETTINGS) as api, watched(url) as postmaster:
            storm = await _prepared(url, api, key, wanted, progress)
            progress(f"{wanted.events:,} events at full speed")
            pids = [api.pid, *(family_of(postmaster) if postmaster else ())]
            before = [cpu_seconds([pid]) for pid in pids]
            accepted, applied_s = await _blow(url, api, storm, wanted)
            used = [now - then for now, then in zip((cpu_seconds([pid]) for pid in pids), before, strict=True)]
            steady = await _steady(url, api, key, wanted, progress)
            memory = memory_mb(api.pid)
        await _all_holds(url)
    cpu = (used[0] / storm.genuine * 1e6, sum(used[1:]) / storm.genuine * 1e6)
    return [
        _figures("payments in the same run", payments, unit_tps, payments.per_second),
        _figures(f"webhooks accepted (storm of {wanted.events:,})", accepted, unit_tps, payments.per_second),
        msgspec.structs.replace(
            _figures("webhooks applied, each once", accepted, unit_tps, payments.per_second),
            per_second=storm.genuine / applied_s,
            ratio_to_pgbench=storm.genuine / applied_s / unit_tps,
            ratio_to_payments=storm.genuine / applied_s / payments.per_second,
            operations=storm.genuine,
            cpu_us_api=cpu[0],
            cpu_us_database=cpu[1] if postmaster else None,
            memory_mb=memory,
        ),
        _figures(f"webhooks answered (open {wanted.rate_per_s:g}/s)", steady, unit_tps, payments.per_second),
    ]


async def _payments(server_url: str, wanted: WebhooksBench, progress: Callable[[str], None]) -> Load:
    """The payments bench, short: what the storm is measured against."""
    progress("payments, to compare")
    async with fresh_database(server_url, migrated=True) as url:
        key = await merchant_key(url)
        async with api_process(url) as api, watched(url):
            make = create_payment_request(f"127.0.0.1:{api.port}", key)
            await closed_loop(api.port, make, connections=32, seconds=1.0)
            return await closed_loop(api.port, make, connections=wanted.connections, seconds=wanted.seconds)


async def _prepared(url: str, api: Api, key: str, wanted: WebhooksBench, progress: Callable[[str], None]) -> _Storm:
    """Payments that wait for their PSP, and the storm that decides them."""
    unknown, forged = int(wanted.events * wanted.unknown), int(wanted.events * wanted.forged)
    genuine = wanted.events - int(wanted.events * wanted.repeated) - unknown - forged
    progress(f"{genuine:,} payments that wait for their PSP")
    references = await _pending(url, api, key, genuine)
    chosen = random.Random(7)  # noqa: S311 - the same storm each time
    sign = _Signer(f"127.0.0.1:{api.port}")
    events = [sign.approved(reference) for reference in references]
    requests = [sign.request(body) for body in events]
    requests += [sign.request(chosen.choice(events)) for _ in range(int(wanted.events * wanted.repeated))]
    requests += [sign.request(sign.body("charge.rumoured", {"id": f"ch_{n}"})) for n in range(unknown)]
    requests += [sign.request(chosen.choice(events), secret="somebody-else") for _ in range(forged)]  # noqa: S106
    chosen.shuffle(requests)
    return _Storm(requests, genuine, unknown, forged)


async def _pending(url: str, api: Api, key: str, count: int) -> list[UUID]:
    """The attempts of new payments whose PSP will decide later."""
    make = create_payment_request(f"127.0.0.1:{api.port}", key, PENDING_METHOD)
    before = set(await _read(url, store.pending_references))
    await closed_loop(api.port, make, connections=128, seconds=600, requests_max=count)
    return [each for each in await _read(url, store.pending_references) if each not in before]


async def _blow(url: str, api: Api, storm: _Storm, wanted: WebhooksBench) -> tuple[Load, float]:
    """The storm at full speed: what was accepted, and seconds until the last event was applied."""
    began = time.perf_counter()
    left = iter(storm.requests)
    accepted = await closed_loop(
        api.port, left.__next__, connections=wanted.connections, seconds=600, requests_max=len(storm.requests)
    )
    if accepted.statuses != {200: len(storm.requests) - storm.forged, 400: storm.forged}:
        raise OperatorError(f"The storm was not answered as it should be: {dict(accepted.statuses)}.")
    await _settled(url)
    applied_s = time.perf_counter() - began
    standing, captured = await _read(url, store.inbox_standing), await _read(url, store.captured_payments)
    if standing != {"applied": storm.genuine, "unknown": storm.unknown} or captured != storm.genuine:
        raise OperatorError(f"The storm was not applied as it should be: {standing}, {captured} payments captured.")
    return accepted, applied_s


async def _steady(url: str, api: Api, key: str, wanted: WebhooksBench, progress: Callable[[str], None]) -> Load:
    """Events at a steady rate, applied in the same process meanwhile."""
    count = int(wanted.rate_per_s * wanted.seconds)
    progress(f"{wanted.rate_per_s:g} events a second")
    references = await _pending(url, api, key, count)
    sign = _Signer(f"127.0.0.1:{api.port}")
    requests = iter([sign.request(sign.approved(reference)) for reference in references])
    load = await open_loop(api.port, requests.__next__, rate_per_s=wanted.rate_per_s, seconds=wanted.seconds)
    await _settled(url)
    return load


async def _settled(url: str) -> None:
    give_up_at = time.monotonic() + _SETTLE_MAX_S
    while await _read(url, store.inbox_waits):
        if time.monotonic() > give_up_at:
            raise OperatorError(f"The inbox is not empty after {_SETTLE_MAX_S:g} s; see the log above.")
        await asyncio.sleep(0.05)


async def _all_holds(url: str) -> None:
    database = Database(url, connections_max=2, application="bezant-bench")
    await database.open()
    try:
        report = await verify(database)
    finally:
        await database.close()
    if not report.ok:
        raise OperatorError(f"After the storm these do not hold: {', '.join(check.name for check in report.broken)}.")


async def _read(url: str, statement: Callable[[Connection], Awaitable[T]]) -> T:
    database = Database(url, connections_max=1, application="bezant-bench")
    await database.open()
    try:
        async with database.connection() as connection:
            return await statement(connection)
    finally:
        await database.close()


class _Signer:
    """Makes the simulator's webhooks."""

    def __init__(self, host: str) -> None:
        self._head = f"POST {_PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"

    def approved(self, attempt_id: UUID) -> bytes:
        """The event that says that a charge was approved and captured."""
        reference = ids.show(ids.ATTEMPT, attempt_id)
        charge = charge_of(reference)
        authorization = {"id": f"op_{charge}", "status": "succeeded", "amount": 4999, "captured": 4999}
        return self.body(
            "charge.approved",
            {"id": charge, "reference": reference, "currency": "USD", "authorization": authorization},
        )

    def body(self, kind: str, data: dict[str, object]) -> bytes:
        """An event about `data`."""
        return msgspec.json.encode(
            {"id": f"evt_{kind}_{data['id']}", "type": kind, "created_at": datetime.now(UTC), "data": data}
        )

    def request(self, body: bytes, *, secret: str = _SECRET) -> bytes:
        """The request that carries it, signed."""
        now = str(int(time.time()))
        mark = hmac.new(secret.encode(), f"{now}.".encode() + body, sha256).hexdigest()
        head = f"{self._head}Simulator-Signature: t={now},v1={mark}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


def _figures(name: str, load: Load, unit_tps: float, payments_per_s: float) -> Figures:
    return Figures(
        name=name,
        per_second=load.per_second,
        p50_ms=load.percentile_ms(50),
        p99_ms=load.percentile_ms(99),
        pgbench_tps=unit_tps,
        ratio_to_pgbench=load.per_second / unit_tps,
        ratio_to_payments=load.per_second / payments_per_s,
        cpu_us_api=None,
        cpu_us_database=None,
        operations=len(load.latencies_s),
        failures=load.failures,
    )
