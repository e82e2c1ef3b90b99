"""One way to break each thing that must hold, past every trigger and constraint, by SQL that returns whom it hit.

What a break necessarily takes with it (a sum that no longer agrees with what was broken) is listed in `also`.
"""

from typing import Final

from tests.verify.breaking import Breaking
from tests.verify.breaks_of_accounts import ACCOUNTS
from tests.verify.breaks_of_disputes import DISPUTES
from tests.verify.breaks_of_reconciliation import RECONCILIATION
from tests.verify.breaks_of_webhooks import WEBHOOKS


def _also(*names: str) -> frozenset[str]:
    return frozenset(names)


_CAPTURED: Final = "(SELECT id FROM payments WHERE status = 'captured' AND released_minor = 0 ORDER BY id LIMIT 1)"
_AUTHORIZED: Final = "(SELECT id FROM payments WHERE status = 'authorized' ORDER BY id LIMIT 1)"
_PARTLY: Final = "(SELECT id FROM payments WHERE captured_minor = 100 AND fee_fixed_minor = 30 ORDER BY id LIMIT 1)"
_REFUND: Final = "(SELECT id FROM refunds WHERE status = 'succeeded' ORDER BY id LIMIT 1)"
_REFUND_JOURNAL: Final = "(SELECT id FROM ledger_journals WHERE kind = 'refund' ORDER BY id LIMIT 1)"
_CAPTURE_JOURNAL: Final = "(SELECT id FROM ledger_journals WHERE kind = 'capture' ORDER BY id LIMIT 1)"
_WITHOUT_ATTEMPT: Final = """
(SELECT k.id FROM idempotency_keys AS k LEFT JOIN payment_attempts AS a ON a.id = k.attempt_id
WHERE a.id IS NULL AND k.reply_status = {} ORDER BY k.id LIMIT 1)
"""
_SIBLING: Final = "(left({0}::text, 13) || substr(gen_random_uuid()::text, 14))::uuid"


def _open_attempts(number: int, next_check_at: str, operation: str = "cancel") -> str:
    """Adds unresolved attempts to a payment that is authorized."""
    return f"""
    INSERT INTO payment_attempts SELECT (jsonb_populate_record(a, jsonb_build_object(
        'id', {_SIBLING.format("a.id")}, 'operation', '{operation}', 'origin', 'overdue', 'status', 'unknown',
        'moved_minor', NULL, 'psp_reference', NULL, 'next_check_at', {next_check_at}
    ))).* FROM payment_attempts AS a, generate_series(1, {number})
    WHERE a.payment_id = {_AUTHORIZED} AND a.status = 'approved'
    """


PAYMENTS: Final = (
    Breaking(
        "authorized_is_derived",
        "pay",
        f"UPDATE payments SET gateway_ref = 'ch_other' WHERE id = {_CAPTURED} RETURNING id",
    ),
    Breaking(
        "authorized_is_derived",
        "pay",
        f"UPDATE payments SET authorized_minor = authorized_minor - 1 WHERE id = {_AUTHORIZED} RETURNING id",
        what="amount",
    ),
    Breaking(
        "captured_is_derived",
        "pay",
        f"""UPDATE payments SET captured_minor = captured_minor - 1, released_minor = released_minor + 1
        WHERE id = {_PARTLY} RETURNING id""",
        _also("payments_are_booked", "last_event_agrees"),
    ),
    Breaking(
        "refunded_is_derived",
        "pay",
        "UPDATE payments SET refunded_minor = 0 WHERE refunded_minor = 1 RETURNING id",
        _also("payments_are_booked", "last_event_agrees"),
    ),
    Breaking(
        "released_is_derived",
        "pay",
        f"UPDATE payments SET released_minor = released_minor - 1 WHERE id = {_PARTLY} RETURNING id",
    ),
    Breaking(
        "reservations_are_in_flight",
        "pay",
        f"UPDATE payments SET capturing_minor = 1 WHERE id = {_AUTHORIZED} RETURNING id",
    ),
    Breaking(
        "amounts_are_in_bounds",
        "pay",
        f"UPDATE payments SET amount_minor = amount_minor - 1 WHERE id = {_CAPTURED} RETURNING id",
        drop=("payments", "payments_authorized_within_amount"),
    ),
    Breaking(
        "excess_is_a_break",
        "pay",
        "UPDATE payments SET excess_refunded_minor = 1 WHERE refunded_minor = 1 RETURNING id",
    ),
    Breaking(
        "refunds_agree_with_attempts",
        "ref",
        f"UPDATE refunds SET currency = 'JPY' WHERE id = {_REFUND} RETURNING id",
    ),
    Breaking(
        "attempts_agree_with_themselves",
        "att",
        "UPDATE payment_attempts SET psp = 'other' WHERE status = 'declined' RETURNING id",
    ),
    Breaking(
        "one_attempt_at_a_time",
        "pay",
        f"WITH new AS ({_open_attempts(2, 'now()')} RETURNING payment_id) SELECT DISTINCT payment_id FROM new",
        drop=("", "payment_attempts_one_unresolved"),
    ),
    Breaking("attempts_are_not_forgotten", "att", f"{_open_attempts(1, 'NULL')} RETURNING id"),
    Breaking(
        "attempts_are_not_forgotten",
        "att",
        "UPDATE payment_attempts SET stuck_at = now() WHERE status = 'declined' RETURNING id",
        what="resolved",
    ),
    Breaking(
        "operations_have_one_effect",
        "att",
        """WITH twins AS (SELECT id FROM payment_attempts WHERE operation = 'capture' ORDER BY id LIMIT 2),
        made AS (UPDATE payment_attempts SET psp_reference = 'op_same' WHERE id IN (SELECT id FROM twins) RETURNING id)
        SELECT id FROM made ORDER BY id DESC LIMIT 1""",
    ),
    Breaking(
        "outcomes_have_evidence",
        "att",
        f"""WITH gone AS (DELETE FROM psp_requests WHERE attempt_id IN (
            SELECT id FROM payment_attempts WHERE payment_id = {_CAPTURED}
        ) RETURNING attempt_id) SELECT DISTINCT attempt_id FROM gone""",
    ),
    Breaking(
        "status_is_derived",
        "pay",
        f"UPDATE payments SET status = 'settled' WHERE id = {_CAPTURED} RETURNING id",
        _also("last_event_agrees"),
        drop=("payments", "payments_status_agrees_with_amounts"),
    ),
    Breaking(
        "fee_is_derived",
        "pay",
        f"UPDATE payments SET fee_basis_points = fee_basis_points + 100 WHERE id = {_CAPTURED} RETURNING id",
    ),
)

LEDGER: Final = (
    Breaking(
        "journals_balance",
        "jrn",
        f"""UPDATE ledger_entries SET debit_minor = debit_minor + 1
        WHERE journal_id = {_REFUND_JOURNAL} AND account_code = 'merchant_payable' RETURNING journal_id""",
        _also("balances_are_sums"),
    ),
    Breaking(
        "journals_are_complete",
        "jrn",
        f"UPDATE ledger_journals SET entry_count = entry_count + 1 WHERE id = {_CAPTURE_JOURNAL} RETURNING id",
    ),
    Breaking(
        "journals_are_complete",
        "jrn",
        f"""WITH gone AS (DELETE FROM ledger_entries WHERE journal_id = {_CAPTURE_JOURNAL} RETURNING journal_id)
        SELECT DISTINCT journal_id FROM gone""",
        _also("balances_are_sums", "payments_are_booked", "effects_are_posted"),
        what="empty",
    ),
    Breaking(
        "journals_are_complete",
        "jrn",
        f"""UPDATE ledger_entries SET line = 9 WHERE journal_id = {_CAPTURE_JOURNAL} AND line = 1
        RETURNING journal_id""",
        what="gap",
    ),
    Breaking(
        "entries_have_a_journal",
        "jrn",
        """WITH owner AS (SELECT m.id, gen_random_uuid() AS journal_id FROM merchants AS m LIMIT 1),
        made AS (INSERT INTO ledger_entries SELECT o.journal_id, o.id, s.line, 'cash', s.debit, s.credit
        FROM owner AS o, (VALUES (1, 5, 0), (2, 0, 5)) AS s (line, debit, credit) RETURNING journal_id)
        SELECT DISTINCT journal_id FROM made""",
    ),
    Breaking(
        "entries_have_one_side",
        "jrn",
        f"""WITH hit AS (UPDATE ledger_entries SET debit_minor = debit_minor + 5, credit_minor = credit_minor + 5
            WHERE journal_id = {_REFUND_JOURNAL} AND line = 1 RETURNING journal_id, merchant_id, account_code),
        kept AS (UPDATE ledger_balances AS b SET debit_minor = b.debit_minor + 5, credit_minor = b.credit_minor + 5
            FROM hit INNER JOIN ledger_journals AS j ON j.id = hit.journal_id
            WHERE b.merchant_id = hit.merchant_id AND b.account_code = hit.account_code AND b.currency = j.currency)
        SELECT journal_id FROM hit""",
        drop=("ledger_entries", "ledger_entries_one_side"),
    ),
    Breaking(
        "journals_agree_with_payments",
        "jrn",
        f"UPDATE ledger_journals SET currency = 'JPY' WHERE id = {_CAPTURE_JOURNAL} RETURNING id",
        _also("balances_are_sums", "operations_wait_or_are_explained"),
    ),
    Breaking(
        "journal_ids_are_derived",
        "jrn",
        f"""WITH renamed AS (SELECT j.id, {_SIBLING.format("j.id")} AS new_id FROM ledger_journals AS j
            WHERE j.id = {_CAPTURE_JOURNAL}),
        entries AS (UPDATE ledger_entries AS e SET journal_id = r.new_id FROM renamed AS r WHERE e.journal_id = r.id)
        UPDATE ledger_journals AS j SET id = r.new_id FROM renamed AS r WHERE j.id = r.id RETURNING j.id""",
        _also("operations_wait_or_are_explained"),
        drop=("ledger_journals", "ledger_journals_natural_key"),
    ),
    Breaking(
        "facts_are_posted_once",
        "jrn",
        f"""WITH twin AS (SELECT j.id, {_SIBLING.format("j.id")} AS new_id FROM ledger_journals AS j
            WHERE j.id = {_REFUND_JOURNAL}),
        entries AS (INSERT INTO ledger_entries SELECT t.new_id, e.merchant_id, e.line, e.account_code, e.debit_minor,
            e.credit_minor FROM ledger_entries AS e INNER JOIN twin AS t ON t.id = e.journal_id),
        made AS (INSERT INTO ledger_journals SELECT (jsonb_populate_record(j, jsonb_build_object('id', t.new_id))).*
            FROM ledger_journals AS j INNER JOIN twin AS t ON t.id = j.id)
        SELECT greatest(id, new_id) FROM twin""",
        _also(
            "journal_ids_are_derived", "balances_are_sums", "payments_are_booked", "operations_wait_or_are_explained"
        ),
        drop=("ledger_journals", "ledger_journals_natural_key"),
    ),
    Breaking(
        "balances_are_sums",
        "mer",
        """UPDATE ledger_balances SET debit_minor = debit_minor + 1, credit_minor = credit_minor + 1
        WHERE account_code = 'merchant_payable'
        RETURNING replace(merchant_id::text, '-', '') || ' ' || currency || ' ' || account_code""",
    ),
    Breaking(
        "trial_balance_is_zero",
        "mer",
        """UPDATE ledger_balances SET debit_minor = debit_minor + 1 WHERE account_code = 'merchant_payable'
        RETURNING replace(merchant_id::text, '-', '') || ' ' || currency""",
        _also("balances_are_sums"),
    ),
    Breaking(
        "effects_are_posted",
        "att",
        f"""UPDATE ledger_journals AS j SET correlation_id = 'att_of_nobody' FROM ledger_journals AS before
        WHERE j.id = {_REFUND_JOURNAL} AND before.id = j.id RETURNING substr(before.correlation_id, 5)""",
        _also("postings_have_an_effect", "journal_ids_are_derived"),
        drop=("ledger_journals", "ledger_journals_natural_key"),
    ),
    Breaking(
        "postings_have_an_effect",
        "jrn",
        f"UPDATE ledger_journals SET correlation_id = 'att_of_nobody' WHERE id = {_CAPTURE_JOURNAL} RETURNING id",
        _also("effects_are_posted", "journal_ids_are_derived"),
        drop=("ledger_journals", "ledger_journals_natural_key"),
    ),
    Breaking(
        "journals_follow_the_posting_table",
        "jrn",
        f"""UPDATE ledger_entries SET account_code = 'suspense'
        WHERE journal_id = {_REFUND_JOURNAL} AND account_code = 'merchant_payable' RETURNING journal_id""",
        _also("balances_are_sums"),
    ),
    Breaking(
        "payments_are_booked",
        "pay",
        f"UPDATE payments SET platform_fee_minor = platform_fee_minor + 1 WHERE id = {_CAPTURED} RETURNING id",
        _also("fee_is_derived"),
    ),
)

RECORDS: Final = (
    Breaking(
        "key_ids_are_derived",
        "idk",
        "UPDATE idempotency_keys SET operation = operation || '/' WHERE reply_status = 409 RETURNING id",
    ),
    Breaking(
        "keys_lead_somewhere",
        "idk",
        f"""UPDATE idempotency_keys SET mode = 'in_flight', reply_status = NULL, reply_body = NULL
        WHERE id = {_WITHOUT_ATTEMPT.format(200)} RETURNING id""",
    ),
    Breaking(
        "attempts_have_one_key",
        "att",
        f"""UPDATE idempotency_keys AS k SET attempt_id = a.id FROM (
            SELECT min(id::text)::uuid AS id, payment_id FROM payment_attempts GROUP BY payment_id
        ) AS a WHERE a.payment_id = k.payment_id AND k.id = {_WITHOUT_ATTEMPT.format(409)} RETURNING a.id""",
    ),
    Breaking(
        "commands_have_their_key",
        "att",
        f"""DELETE FROM idempotency_keys
        WHERE attempt_id IN (SELECT id FROM payment_attempts WHERE payment_id = {_CAPTURED}) RETURNING attempt_id""",
    ),
    Breaking(
        "keys_make_one_payment",
        "pay",
        """WITH twins AS (
            SELECT min(id::text)::uuid AS first, max(id::text)::uuid AS last FROM payments GROUP BY merchant_id LIMIT 1
        )
        UPDATE payments AS p SET idempotency_key = o.idempotency_key FROM twins AS t
        INNER JOIN payments AS o ON o.id = t.first WHERE p.id = t.last RETURNING p.id""",
    ),
    Breaking(
        "changes_are_told",
        "pay",
        """WITH gone AS (DELETE FROM outbox_events WHERE type = 'refund.created' RETURNING payment_id)
        SELECT DISTINCT payment_id FROM gone""",
    ),
    Breaking(
        "last_event_agrees",
        "pay",
        f"UPDATE payments SET event_position = event_position + 1 WHERE id = {_CAPTURED} RETURNING id",
    ),
    Breaking(
        "events_are_in_order",
        "evt",
        f"""WITH swapped AS (
            UPDATE outbox_events AS e SET tx = o.tx, position = o.position FROM outbox_events AS o
            WHERE e.payment_id = {_PARTLY} AND o.payment_id = e.payment_id AND (e.type, o.type) IN (
                ('payment.authorized', 'payment.captured'), ('payment.captured', 'payment.authorized')
            ) RETURNING e.id, e.type
        ) SELECT id FROM swapped WHERE type = 'payment.authorized'""",
    ),
    Breaking(
        "events_are_in_their_shard",
        "evt",
        f"UPDATE outbox_events SET shard = (shard + 1) % 16 WHERE payment_id = {_CAPTURED} RETURNING id",
    ),
    Breaking(
        "notices_concern_their_account",
        "inb",
        f"""INSERT INTO inbox_events (id, psp, event_id, type, body, status, merchant_id, payment_id, occurred_at,
            received_at, settled_at)
        SELECT gen_random_uuid(), 'stripe', 'evt_1', 'told', '', 'applied', p.merchant_id, p.id, now(), now(), now()
        FROM payments AS p WHERE p.id = {_CAPTURED} RETURNING id""",
    ),
    Breaking(
        "rows_stay_in_their_family",
        "brk",
        f"""INSERT INTO breaks SELECT gen_random_uuid(), p.merchant_id, p.id, NULL, 'test', 'test', now()
        FROM payments AS p WHERE p.id = {_CAPTURED} RETURNING id""",
    ),
    Breaking(
        "rows_stay_in_their_family",
        "brk",
        f"""INSERT INTO breaks SELECT {_SIBLING.format("p.id")}, m.id, p.id, NULL, 'test', 'test', now()
        FROM payments AS p INNER JOIN merchants AS m ON m.id <> p.merchant_id WHERE p.id = {_CAPTURED} RETURNING id""",
        what="other merchant",
    ),
    Breaking(
        "rows_have_a_merchant",
        "mer",
        """INSERT INTO audit_log (id, merchant_id, actor, action, subject, reason, detail)
        VALUES (gen_random_uuid(), gen_random_uuid(), 'a', 'b', 'c', 'd', '{}') RETURNING merchant_id""",
    ),
    Breaking(
        "stored_replies_are_sound",
        "idk",
        f"UPDATE idempotency_keys SET reply_status = 202 WHERE id = {_WITHOUT_ATTEMPT.format(200)} RETURNING id",
    ),
    Breaking(
        "stored_replies_are_sound",
        "idk",
        "UPDATE idempotency_keys SET reply_body = '{' WHERE reply_status = 200 RETURNING id",
        what="does not parse",
    ),
    Breaking(
        "stored_replies_are_sound",
        "idk",
        """UPDATE idempotency_keys SET reply_body = '{"payment_id": "pay_00"}' WHERE id = (
            SELECT k.id FROM idempotency_keys AS k INNER JOIN payments AS p ON p.id = k.payment_id
            WHERE k.reply_status = 200 ORDER BY k.id LIMIT 1
        ) RETURNING id""",
        what="other payment",
    ),
    Breaking(
        "no_card_data",
        "pay",
        f"""UPDATE payments SET metadata = '{{"note": "4242 4242 4242 4242"}}' WHERE id = {_CAPTURED} RETURNING id""",
    ),
    Breaking(
        "no_card_data",
        "ref",
        f"UPDATE refunds SET reason = 'cvv 123' WHERE id = {_REFUND} RETURNING id",
        what="refund",
    ),
    Breaking(
        "no_card_data",
        "req",
        """UPDATE psp_requests SET response = '{"number": "4242424242424242"}'
        WHERE id = (SELECT id FROM psp_requests LIMIT 1) RETURNING id""",
        what="PSP",
    ),
    Breaking(
        "no_secrets",
        "idk",
        """UPDATE idempotency_keys SET reply_body = convert_to(replace(encode(reply_body, 'escape'), '\\000',
            'pay_01_secret_0123456789abcdef0123456789abcdef'), 'UTF8')
        WHERE id = (SELECT id FROM idempotency_keys WHERE position('\\000' IN encode(reply_body, 'escape')) > 0 LIMIT 1)
        RETURNING id""",
    ),
    Breaking(
        "no_secrets",
        "ref",
        f"UPDATE refunds SET reason = 'sk_' || repeat('aB-_4', 9) WHERE id = {_REFUND} RETURNING id",
        what="key",
    ),
)

ALL: Final = (*PAYMENTS, *LEDGER, *RECORDS, *ACCOUNTS, *WEBHOOKS, *DISPUTES, *RECONCILIATION)
