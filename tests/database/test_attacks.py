"""What an attacker or a careless operator types into psql about payments, refunds and attempts is refused."""

import asyncpg
import pytest

from tests.support.books import AMOUNTS, Books, step_to

LEGAL = {
    "pending": {"authorized", "captured", "refunding", "failed", "canceled"},
    "authorized": {"captured", "canceled"},
    "captured": {"settled", "refunding", "refunded", "chargeback_open", "chargeback_lost"},
    "settled": {"captured", "refunding", "refunded", "chargeback_open", "chargeback_lost"},
    "refunding": {"captured", "settled", "refunded", "chargeback_open", "chargeback_lost"},
    "refunded": {"captured", "settled", "refunding", "chargeback_open", "chargeback_lost"},
    "chargeback_open": {"captured", "settled", "refunding", "refunded", "chargeback_lost"},
    "chargeback_lost": {"captured", "settled", "refunding", "refunded", "chargeback_open"},
    "failed": {"authorized", "captured", "refunding"},
    "canceled": {"authorized", "captured", "refunding"},
}
ILLEGAL = [(old, new) for old in LEGAL for new in LEGAL if new != old and new not in LEGAL[old]]
LEGAL_PAIRS = [(old, new) for old in LEGAL for new in sorted(LEGAL[old])]
TABLES = ("payments", "refunds", "payment_attempts", "ledger_journals", "ledger_entries", "ledger_balances")


@pytest.mark.parametrize(("old", "new"), ILLEGAL)
async def test_status_cannot_jump(books: Books, old: str, new: str) -> None:
    payment_id = await books.payment(old)
    statement, *parameters = step_to(payment_id, new)
    assert await books.refused(statement, *parameters) == "payments_legal_status"


@pytest.mark.parametrize(("old", "new"), LEGAL_PAIRS)
async def test_status_may_go_where_evidence_leads(books: Books, old: str, new: str) -> None:
    payment_id = await books.payment(old)
    statement, *parameters = step_to(payment_id, new)
    assert await books.run(statement, *parameters) == "UPDATE 1"


async def test_status_that_does_not_exist_is_refused(books: Books) -> None:
    payment_id = await books.payment("pending")
    statement = "UPDATE payments SET status = 'paid' WHERE id = $1"
    assert await books.refused(statement, payment_id) == "payments_legal_status"


@pytest.mark.parametrize("status", [status for status in AMOUNTS if status != "pending"])
async def test_payment_is_not_born_with_a_history(books: Books, status: str) -> None:
    await books.payment()
    statement = """
    INSERT INTO payments SELECT (jsonb_populate_record(p, $1::text::jsonb || jsonb_build_object(
        'id', gen_random_uuid(), 'status', $2::text))).* FROM payments AS p WHERE p.merchant_id = $3 LIMIT 1
    """
    amounts = "{" + ", ".join(f'"{name}": {minor}' for name, minor in AMOUNTS[status].items()) + "}"
    assert await books.refused(statement, amounts, status, books.merchant_id) == "payments_begin_at_the_beginning"


@pytest.mark.parametrize(
    ("status", "sets", "constraint"),
    [
        ("authorized", "captured_minor = 101, status = 'captured'", "payments_captured_within_authorized"),
        ("authorized", "capturing_minor = 101", "payments_captured_within_authorized"),
        ("authorized", "released_minor = 60, capturing_minor = 41", "payments_captured_within_authorized"),
        ("pending", "authorized_minor = 101, status = 'authorized'", "payments_authorized_within_amount"),
        ("captured", "refunding_minor = 101, status = 'refunding'", "payments_refunded_within_captured"),
        ("captured", "refunding_minor = 60, disputed_minor = 41", "payments_refunded_within_captured"),
        ("captured", "platform_fee_minor = 101", "payments_fee_within_captured"),
        ("captured", "captured_minor = 0", "payments_status_agrees_with_amounts"),
        ("pending", "status = 'captured'", "payments_status_agrees_with_amounts"),
        ("captured", "status = 'refunded'", "payments_status_agrees_with_amounts"),
        ("authorized", "status = 'canceled'", "payments_status_agrees_with_amounts"),
        ("authorized", "capturing_minor = -1", "payments_amounts_are_not_negative"),
        ("captured", "tries = 6", "payments_tries_check"),
    ],
)
async def test_amounts_stay_in_bounds(books: Books, status: str, sets: str, constraint: str) -> None:
    payment_id = await books.payment(status)
    assert await books.refused(f"UPDATE payments SET {sets} WHERE id = $1", payment_id) == constraint


@pytest.mark.parametrize(
    "sets",
    [
        "amount_minor = 99",
        "currency = 'EUR'",
        "id = gen_random_uuid()",
        "merchant_id = gen_random_uuid()",
        "created_at = now() - interval '1 day'",
    ],
)
async def test_identity_of_a_payment_never_changes(books: Books, sets: str) -> None:
    payment_id = await books.payment("authorized")
    assert await books.refused(f"UPDATE payments SET {sets} WHERE id = $1", payment_id) == "payments_identity"


@pytest.mark.parametrize(
    "sets", ["amount_minor = 39", "currency = 'EUR'", "id = gen_random_uuid()", "payment_id = gen_random_uuid()"]
)
async def test_identity_of_a_refund_never_changes(books: Books, sets: str) -> None:
    payment_id = await books.payment("refunding")
    assert await books.refused(f"UPDATE refunds SET {sets} WHERE payment_id = $1", payment_id) == "refunds_identity"


@pytest.mark.parametrize(
    "sets", ["amount_minor = 1", "currency = 'EUR'", "operation = 'cancel'", "payment_id = gen_random_uuid()"]
)
async def test_identity_of_an_attempt_never_changes(books: Books, sets: str) -> None:
    payment_id = await books.payment()
    await books.attempt(payment_id)
    statement = f"UPDATE payment_attempts SET {sets} WHERE payment_id = $1"
    assert await books.refused(statement, payment_id) == "payment_attempts_identity"


async def test_refund_without_the_payments_reservation_is_refused(books: Books) -> None:
    payment_id = await books.payment("captured")
    assert await books.refused(_refund(books, payment_id, 40)) == "refunds_agree_with_payment"


async def test_reservation_without_its_refund_is_refused(books: Books) -> None:
    payment_id = await books.payment("captured")
    statement = "UPDATE payments SET refunding_minor = 40, status = 'refunding' WHERE id = $1"
    assert await books.refused(statement, payment_id) == "refunds_agree_with_payment"


async def test_refund_that_succeeds_without_the_payment_is_refused(books: Books) -> None:
    payment_id = await books.payment("refunding")
    statement = "UPDATE refunds SET status = 'succeeded' WHERE payment_id = $1"
    assert await books.refused(statement, payment_id) == "refunds_agree_with_payment"


async def test_refund_above_the_capture_is_refused_even_with_its_reservation(books: Books) -> None:
    payment_id = await books.payment("captured")
    await books.refund(payment_id, 101)
    statement = "UPDATE payments SET refunding_minor = 101, status = 'refunding' WHERE id = $1"
    assert await books.refused(statement, payment_id) == "payments_refunded_within_captured"


async def test_second_refund_above_the_rest_is_refused(books: Books) -> None:
    payment_id = await books.payment("refunding")
    await books.refund(payment_id, 61)
    statement = "UPDATE payments SET refunding_minor = 101 WHERE id = $1"
    assert await books.refused(statement, payment_id) == "payments_refunded_within_captured"


async def test_refund_in_another_currency_is_refused(books: Books) -> None:
    payment_id = await books.payment("captured")
    await books.run("UPDATE payments SET refunding_minor = 40, status = 'refunding' WHERE id = $1", payment_id)
    assert await books.refused(_refund(books, payment_id, 40, currency="EUR")) == "refunds_currency"


async def test_refund_is_not_born_succeeded(books: Books) -> None:
    payment_id = await books.payment("captured")
    statement = _refund(books, payment_id, 40).replace("'pending'", "'succeeded'")
    assert await books.refused(statement) == "refunds_begin_at_the_beginning"


async def test_refund_of_another_merchants_payment_is_refused(books: Books) -> None:
    theirs = await books.payment("captured", books.other_id)
    assert await books.refused(_refund(books, theirs, 40)) == "refunds_payment_id_merchant_id_fkey"


@pytest.mark.parametrize("amount_minor", [0, -1])
async def test_refund_of_nothing_is_refused(books: Books, amount_minor: int) -> None:
    payment_id = await books.payment("captured")
    assert await books.refused(_refund(books, payment_id, amount_minor)) == "refunds_amount_minor_check"


async def test_attempt_on_another_merchants_payment_is_refused(books: Books) -> None:
    theirs = await books.payment("pending", books.other_id)
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="payment_attempts_payment_id_merchant_id_fkey"):
        await books.attempt(theirs)


async def test_attempt_with_another_payments_refund_is_refused(books: Books) -> None:
    theirs, mine = await books.payment("refunding"), await books.payment("captured")
    refund_id = await books.connection.fetchval("SELECT id FROM refunds WHERE payment_id = $1", theirs)
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="payment_id_merchant_id_refund_id_fkey"):
        await books.attempt(mine, "refund", refund_id)


@pytest.mark.parametrize("operation", ["authorize", "capture", "cancel"])
async def test_two_unresolved_attempts_on_one_payment_are_refused(books: Books, operation: str) -> None:
    payment_id = await books.payment("authorized")
    await books.attempt(payment_id, "capture")
    with pytest.raises(asyncpg.UniqueViolationError, match="payment_attempts_one_unresolved"):
        await books.attempt(payment_id, operation)


async def test_second_attempt_at_one_refund_is_refused_while_the_first_is_unresolved(books: Books) -> None:
    payment_id = await books.payment("refunding")
    refund_id = await books.connection.fetchval("SELECT id FROM refunds WHERE payment_id = $1", payment_id)
    await books.attempt(payment_id, "refund", refund_id)
    with pytest.raises(asyncpg.UniqueViolationError, match="payment_attempts_one_unresolved"):
        await books.attempt(payment_id, "refund", refund_id)


async def test_refund_attempt_without_its_refund_is_refused(books: Books) -> None:
    payment_id = await books.payment("captured")
    with pytest.raises(asyncpg.CheckViolationError, match="payment_attempts_refund"):
        await books.attempt(payment_id, "refund")


@pytest.mark.parametrize(
    "sets",
    ["status = 'unknown'", "status = 'declined', failure = '{}'", "moved_minor = 1", "psp_reference = 'ch_other'"],
)
async def test_approved_attempt_never_changes(books: Books, sets: str) -> None:
    attempt_id = await books.attempt(await books.payment())
    await books.run("UPDATE payment_attempts SET status = 'approved', moved_minor = 100 WHERE id = $1", attempt_id)
    refusal = await books.refused(f"UPDATE payment_attempts SET {sets} WHERE id = $1", attempt_id)
    assert refusal == "payment_attempts_first_outcome_stands"


@pytest.mark.parametrize("status", ["sending", "pending", "unknown", "superseded"])
async def test_declined_attempt_is_not_opened_again(books: Books, status: str) -> None:
    attempt_id = await books.attempt(await books.payment())
    await books.run("UPDATE payment_attempts SET status = 'declined', failure = '{}' WHERE id = $1", attempt_id)
    statement = "UPDATE payment_attempts SET status = $2, failure = NULL WHERE id = $1"
    assert await books.refused(statement, attempt_id, status) == "payment_attempts_first_outcome_stands"


async def test_attempt_is_not_born_with_an_outcome(books: Books) -> None:
    attempt_id = await books.attempt(await books.payment())
    statement = """
    INSERT INTO payment_attempts SELECT (jsonb_populate_record(a, jsonb_build_object(
        'id', gen_random_uuid(), 'status', 'approved'))).* FROM payment_attempts AS a WHERE a.id = $1
    """
    assert await books.refused(statement, attempt_id) == "payment_attempts_begin_at_the_beginning"


async def test_decline_has_a_reason(books: Books) -> None:
    attempt_id = await books.attempt(await books.payment())
    statement = "UPDATE payment_attempts SET status = 'declined' WHERE id = $1"
    assert await books.refused(statement, attempt_id) == "payment_attempts_resolved"


@pytest.mark.parametrize("table", ["payments", "refunds", "payment_attempts", "audit_log"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_nothing_that_happened_is_deleted(books: Books, table: str, statement: str) -> None:
    await books.payment("refunding")
    assert await books.refused(statement.format(table)) in ("never_deleted", "ledger_append_only")


@pytest.mark.parametrize("statement", ["TRUNCATE merchants CASCADE", "TRUNCATE payments, ledger_journals CASCADE"])
async def test_truncate_does_not_reach_them_by_cascade(books: Books, statement: str) -> None:
    assert await books.refused(statement) in ("never_deleted", "ledger_append_only")


async def test_merchant_with_payments_is_not_deleted(books: Books) -> None:
    await books.payment()
    refusal = await books.refused("DELETE FROM merchants WHERE id = $1", books.merchant_id)
    assert refusal == "payments_merchant_id_fkey"


async def test_audit_log_is_append_only(books: Books) -> None:
    await books.run(
        "INSERT INTO audit_log (id, actor, action, subject, reason, detail) "
        "VALUES (gen_random_uuid(), 'a', 'b', 'c', 'd', '{}')"
    )
    assert await books.refused("UPDATE audit_log SET reason = 'another'") == "never_deleted"


async def test_key_is_claimed_once(books: Books) -> None:
    claim = """
    INSERT INTO idempotency_keys (id, merchant_id, operation, idempotency_key, request_hash, mode, claim_id, created_at)
    VALUES ($1, $1, 'POST /', 'key', sha256('x'), 'in_flight', $1, now())
    """
    await books.run(claim, books.merchant_id)
    assert await books.refused(claim, books.merchant_id) == "idempotency_keys_pkey"


async def test_stored_key_has_its_reply(books: Books) -> None:
    claim = """
    INSERT INTO idempotency_keys (id, merchant_id, operation, idempotency_key, request_hash, mode, claim_id, created_at)
    VALUES ($1, $1, 'POST /', 'key', sha256('x'), 'stored', $1, now())
    """
    assert await books.refused(claim, books.merchant_id) == "idempotency_keys_stored"


def _refund(books: Books, payment_id: object, amount_minor: int, currency: str = "USD") -> str:
    return (
        "INSERT INTO refunds (id, merchant_id, payment_id, amount_minor, currency, status, created_at, updated_at) "
        f"VALUES (gen_random_uuid(), '{books.merchant_id}', '{payment_id}', {amount_minor}, '{currency}', 'pending', "
        "now(), now())"
    )
