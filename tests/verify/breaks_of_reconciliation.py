"""One way to break each thing that must hold of reconciliation."""

from typing import Final

from tests.verify.breaking import Breaking

_FUNDS, _CLEARING, _SUSPENSE = (
    "funds_in_transit_are_operations",
    "clearing_is_on_its_way",
    "suspense_is_unexplained",
)
_WAITING: Final = "(SELECT id FROM operations_in_transit WHERE kind = 'capture' ORDER BY id LIMIT 1)"
_PAYOUT: Final = "(SELECT id FROM psp_payouts WHERE payout_reference = '{}')"
_LINE_ON_ITS_WAY: Final = f"""
(SELECT id FROM psp_lines WHERE kind = 'charge' AND payout_id = {_PAYOUT.format("po_9d20f3")})
"""


def _balance(check: str, account: str, *also: str) -> Breaking:
    """A balance of its account that is kept wrong."""
    return Breaking(
        check,
        "mer",
        f"""UPDATE ledger_balances SET debit_minor = debit_minor + 1 WHERE (merchant_id, currency, account_code) = (
            SELECT merchant_id, currency, account_code FROM ledger_balances WHERE account_code = '{account}'
            ORDER BY merchant_id, currency LIMIT 1
        ) RETURNING format('%s %s', replace(merchant_id::text, '-', ''), currency)""",
        frozenset({"balances_are_sums", "trial_balance_is_zero", *also}),
        what="balance",
    )


RECONCILIATION: Final = (
    Breaking(
        "operations_wait_or_are_explained",
        "jrn",
        f"DELETE FROM operations_in_transit WHERE id = {_WAITING} RETURNING id",
        frozenset({_FUNDS}),
        what="lost",
    ),
    Breaking(
        "operations_wait_or_are_explained",
        "jrn",
        f"UPDATE operations_in_transit SET amount_minor = amount_minor + 1 WHERE id = {_WAITING} RETURNING id",
        frozenset({_FUNDS}),
        what="amount",
    ),
    Breaking(
        "operations_wait_or_are_explained",
        "jrn",
        f"""INSERT INTO explained SELECT o.id, 'operation', gen_random_uuid(), 'x', o.merchant_id, now()
        FROM operations_in_transit AS o WHERE o.id = {_WAITING} RETURNING item_id""",
        frozenset({"matches_leave_nothing_in_transit"}),
        what="both",
    ),
    Breaking(
        "operations_wait_or_are_explained",
        "jrn",
        f"""INSERT INTO operations_in_transit (id, merchant_id, payment_id, kind, correlation_id, psp, currency,
            amount_minor, effective_at)
        SELECT gen_random_uuid(), o.merchant_id, o.payment_id, o.kind, 'x', o.psp, o.currency, 0, now()
        FROM operations_in_transit AS o WHERE o.id = {_WAITING} RETURNING id""",
        what="invented",
    ),
    Breaking("lines_are_open_or_explained", "psl", "DELETE FROM open_lines RETURNING line_id", what="line lost"),
    Breaking(
        "lines_are_open_or_explained",
        "psl",
        f"""INSERT INTO open_lines SELECT l.id, l.file_id FROM psp_lines AS l WHERE l.id = {_LINE_ON_ITS_WAY}
        RETURNING line_id""",
        what="line twice",
    ),
    Breaking(
        "lines_are_open_or_explained",
        "bkl",
        "DELETE FROM open_bank_lines RETURNING line_id",
        frozenset({_SUSPENSE}),
        what="bank line",
    ),
    Breaking(
        "lines_are_open_or_explained",
        "pyo",
        f"""UPDATE psp_payouts SET deposited_at = now() WHERE id = {_PAYOUT.format("po_9d20f3")} RETURNING id""",
        frozenset({_SUSPENSE}),
        what="payout",
    ),
    Breaking(
        "explained_lines_are_posted",
        "psl",
        f"""UPDATE psp_lines SET fee_minor = fee_minor + 1, net_minor = net_minor - 1 WHERE id = {_LINE_ON_ITS_WAY}
        RETURNING id""",
        frozenset({_CLEARING}),
        what="amount",
    ),
    Breaking(
        "explained_lines_are_posted",
        "psl",
        f"""UPDATE explained SET merchant_id = (
            SELECT id FROM merchants WHERE name = 'Another shop of reports'
        ) WHERE item_id = {_LINE_ON_ITS_WAY} RETURNING item_id""",
        frozenset({_CLEARING}),
        what="merchant",
    ),
    Breaking(
        "matches_leave_nothing_in_transit",
        "mat",
        f"""WITH torn AS (
            UPDATE explained SET match_id = gen_random_uuid()
            WHERE side = 'operation' AND match_id = {_LINE_ON_ITS_WAY} RETURNING match_id
        ) SELECT match_id FROM torn UNION ALL SELECT {_LINE_ON_ITS_WAY}""",
    ),
    Breaking(
        "deposits_are_shared_by_lines",
        "pyo",
        f"""UPDATE psp_payouts SET shared_at = NULL, shared_through = NULL WHERE id = {_PAYOUT.format("po_84c1a7")}
        RETURNING id""",
        frozenset({_CLEARING, _SUSPENSE, "settled_is_at_the_bank"}),
    ),
    Breaking(
        "payouts_came_whole",
        "mat",
        f"""UPDATE bank_lines SET amount_minor = amount_minor + 1 WHERE content = 'po_84c1a7'
        RETURNING {_PAYOUT.format("po_84c1a7")}""",
    ),
    _balance(_FUNDS, "customer_funds_in_transit"),
    _balance("disputed_funds_are_operations", "disputed_funds_held"),
    _balance(_CLEARING, "psp_clearing"),
    _balance(_SUSPENSE, "suspense"),
    Breaking(
        "settled_is_at_the_bank",
        "pay",
        "UPDATE payments SET settled_minor = 0, status = 'captured' WHERE status = 'settled' RETURNING id",
        frozenset({"last_event_agrees"}),
        what="forgotten",
    ),
    Breaking(
        "breaks_end_with_a_name",
        "brk",
        "DELETE FROM audit_log WHERE action = 'resolve_break' RETURNING substr(subject, 5)::uuid",
        what="unsaid",
    ),
    Breaking(
        "breaks_end_with_a_name",
        "brk",
        "UPDATE breaks SET journal_id = gen_random_uuid() WHERE resolution = 'written_off' RETURNING id",
        what="unposted",
    ),
    Breaking(
        "no_card_data",
        "psl",
        "UPDATE psp_lines SET description = '4242 4242 4242 4242' "
        "WHERE id = (SELECT min(id::text)::uuid FROM psp_lines) RETURNING id",
        what="line of a PSP",
    ),
    Breaking(
        "no_card_data",
        "bkl",
        "UPDATE bank_lines SET content = 'card 4242424242424242 of J. Smith' "
        "WHERE id = (SELECT min(id::text)::uuid FROM bank_lines) RETURNING id",
        what="line of a bank",
    ),
    Breaking(
        "no_card_data",
        "fil",
        "INSERT INTO quarantined_lines (file_id, line, reason, content) "
        "SELECT id, 99999, 'x', 'cvv 123' FROM report_files ORDER BY id LIMIT 1 RETURNING file_id",
        what="line put aside",
    ),
)
