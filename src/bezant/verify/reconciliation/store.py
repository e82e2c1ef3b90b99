"""Every SQL statement that looks for what is wrong in reconciliation. Each gives (subject, detail).

Set-based over whole tables, so that each costs a few passes, however many lines there are. Postings are found by their
correlation: `psl_` a line, `jrn_` an operation, `pyo_` a payout, with a suffix for what was undone or shared out.
"""

from bezant.base import ids
from bezant.ledger.accounts import Account

_FACTS = "('capture', 'refund', 'refund_failed', 'dispute_opened', 'dispute_won')"
_OF_DISPUTES = "('dispute_opened', 'dispute_won')"
_OF_JOURNAL = "t.journal_id = j.id AND t.merchant_id = j.merchant_id"
_MERCHANT = f"'{ids.MERCHANT}_' || replace({{0}}::text, '-', '')"


def _named(prefix: str) -> str:
    """The id in a correlation of this kind; none in any other."""
    return (
        f"CASE WHEN j.correlation_id ~ '^{prefix}_[0-9a-f]{{32}}(:|$)' THEN substr(j.correlation_id, 5, 32)::uuid END"
    )


# What each operation has left in the account from which its report takes it.
_OPERATIONS = f"""
SELECT j.id, j.merchant_id, j.payment_id, j.kind, j.currency, j.tx, (
    CASE WHEN j.kind IN {_OF_DISPUTES} THEN '{Account.DISPUTED_FUNDS_HELD}'
        ELSE '{Account.CUSTOMER_FUNDS_IN_TRANSIT}' END = t.account_code
) AS is_own, t.debit_minor - t.credit_minor AS amount_minor
FROM ledger_journals AS j INNER JOIN ledger_entries AS t ON {_OF_JOURNAL}
WHERE j.kind IN {_FACTS}
"""

# Behind the collector's cursor an operation waits or is explained, and waits with the amount that it has.
OPERATION_ASTRAY = f"""
SELECT f.id, CASE WHEN o.id IS NULL AND e.item_id IS NULL THEN 'neither in transit nor explained'
    WHEN o.id IS NOT NULL AND e.item_id IS NOT NULL THEN 'in transit and explained'
    ELSE format('in transit with %s %s, booked with %s %s', o.amount_minor, o.currency, f.amount_minor, f.currency) END
FROM ({_OPERATIONS}) AS f
CROSS JOIN operations_cursor AS c
LEFT JOIN operations_in_transit AS o ON o.id = f.id AND o.merchant_id = f.merchant_id
LEFT JOIN explained AS e ON e.item_id = f.id AND e.side = 'operation' AND e.merchant_id = f.merchant_id
WHERE f.is_own AND f.tx < c.tx AND (
    (o.id IS NULL) = (e.item_id IS NULL)
    OR (o.id IS NOT NULL AND (o.amount_minor, o.currency, o.kind) IS DISTINCT FROM (f.amount_minor, f.currency, f.kind))
)
UNION ALL
SELECT x.id, 'there is no such operation' FROM (
    SELECT o.id, o.merchant_id FROM operations_in_transit AS o
    UNION ALL SELECT e.item_id, e.merchant_id FROM explained AS e WHERE e.side = 'operation'
) AS x
LEFT JOIN ledger_journals AS j ON j.id = x.id AND j.merchant_id = x.merchant_id AND j.kind IN {_FACTS}
WHERE j.id IS NULL
"""

LINE_ASTRAY = f"""
SELECT '{ids.PSP_LINE}_' || replace(l.id::text, '-', ''),
    CASE WHEN o.line_id IS NULL THEN 'neither open nor explained' ELSE 'open and explained' END
FROM psp_lines AS l
LEFT JOIN open_lines AS o ON o.line_id = l.id
LEFT JOIN explained AS e ON e.item_id = l.id AND e.side = 'line'
WHERE (o.line_id IS NULL) = (e.item_id IS NULL)
UNION ALL
SELECT '{ids.BANK_LINE}_' || replace(l.id::text, '-', ''),
    CASE WHEN o.line_id IS NULL THEN 'neither open nor explained' ELSE 'open and explained' END
FROM bank_lines AS l
LEFT JOIN open_bank_lines AS o ON o.line_id = l.id
LEFT JOIN explained AS e ON e.item_id = l.id AND e.side = 'bank_line'
WHERE (o.line_id IS NULL) = (e.item_id IS NULL)
UNION ALL
SELECT '{ids.PAYOUT_AT_PSP}_' || replace(y.id::text, '-', ''),
    CASE WHEN e.item_id IS NULL THEN 'deposited and not explained' ELSE 'explained and not deposited' END
FROM psp_payouts AS y LEFT JOIN explained AS e ON e.item_id = y.id AND e.side = 'payout'
WHERE (y.deposited_at IS NULL) = (e.item_id IS NOT NULL)
"""

# The net of each explained line is in the book of whom it is explained for; of an open one nothing is anywhere.
LINE_NOT_POSTED = f"""
SELECT coalesce(x.id, p.line_id), format('net %s %s for {ids.MERCHANT}_%s, posted %s %s for {ids.MERCHANT}_%s',
    x.net_minor, x.currency, replace(x.merchant_id::text, '-', ''), p.posted_minor, p.currency,
    replace(p.merchant_id::text, '-', ''))
FROM (
    SELECT l.id, e.merchant_id, l.currency, l.net_minor
    FROM explained AS e INNER JOIN psp_lines AS l ON l.id = e.item_id
    WHERE e.side = 'line' AND e.rule <> 'payout' AND l.net_minor <> 0
) AS x
FULL JOIN (
    SELECT n.line_id, n.merchant_id, n.currency, sum(n.amount_minor) AS posted_minor
    FROM (
        SELECT {_named(ids.PSP_LINE)} AS line_id, j.merchant_id, j.currency, t.debit_minor - t.credit_minor
            AS amount_minor
        FROM ledger_journals AS j INNER JOIN ledger_entries AS t ON {_OF_JOURNAL}
            AND t.account_code = '{Account.PSP_CLEARING}'
        WHERE j.correlation_id LIKE '{ids.PSP_LINE}\\_%'
    ) AS n
    GROUP BY n.line_id, n.merchant_id, n.currency HAVING sum(n.amount_minor) <> 0
) AS p ON p.line_id = x.id AND p.merchant_id = x.merchant_id AND p.currency = x.currency
WHERE x.net_minor IS DISTINCT FROM p.posted_minor
"""

# What the operations of a match left in transit, its lines and write-offs have taken: of each match, not only in sum.
MATCH_LEAVES_A_REST = f"""
SELECT m.match_id, format('%s left in transit', sum(m.amount_minor))
FROM (
    SELECT e.match_id, f.amount_minor
    FROM ({_OPERATIONS}) AS f
    INNER JOIN explained AS e ON e.item_id = f.id AND e.side = 'operation' AND e.merchant_id = f.merchant_id
    WHERE f.is_own
    UNION ALL
    SELECT e.match_id, n.amount_minor
    FROM (
        SELECT coalesce({_named(ids.PSP_LINE)}, {_named(ids.JOURNAL)}) AS item_id, t.debit_minor - t.credit_minor
            AS amount_minor
        FROM ledger_journals AS j INNER JOIN ledger_entries AS t ON {_OF_JOURNAL}
            AND t.account_code IN ('{Account.CUSTOMER_FUNDS_IN_TRANSIT}', '{Account.DISPUTED_FUNDS_AT_PSP}')
        WHERE j.correlation_id LIKE '{ids.PSP_LINE}\\_%' OR j.correlation_id LIKE '{ids.JOURNAL}\\_%'
    ) AS n
    INNER JOIN explained AS e ON e.item_id = n.item_id
) AS m
GROUP BY m.match_id HAVING sum(m.amount_minor) <> 0
"""

_SHARED = "(y.shared_at IS NOT NULL OR y.shared_through >= l.id)"
# Explained lines with whether the deposit that carries them is shared out up to them.
_EXPLAINED_LINES = f"""
SELECT l.id, l.payout_id, l.currency, l.net_minor, e.merchant_id, e.match_id, coalesce({_SHARED}, false) AS is_shared,
    coalesce({_SHARED} AND NOT y.written_off, false) AS is_at_bank
FROM explained AS e
INNER JOIN psp_lines AS l ON l.id = e.item_id
LEFT JOIN psp_payouts AS y ON y.id = l.payout_id
WHERE e.side = 'line' AND e.rule <> 'payout'
"""

# Of each deposit every merchant got the nets of his explained lines, no more and no less.
SHARE_WRONG = f"""
SELECT coalesce(x.payout_id, p.payout_id), format('{ids.MERCHANT}_%s is due %s, got %s %s',
    replace(coalesce(x.merchant_id, p.merchant_id)::text, '-', ''), coalesce(x.net_minor, 0),
    coalesce(p.posted_minor, 0), coalesce(x.currency, p.currency))
FROM (
    SELECT s.payout_id, s.merchant_id, s.currency, sum(s.net_minor) AS net_minor
    FROM ({_EXPLAINED_LINES}) AS s WHERE s.is_shared
    GROUP BY s.payout_id, s.merchant_id, s.currency HAVING sum(s.net_minor) <> 0
) AS x
FULL JOIN (
    SELECT n.payout_id, n.merchant_id, n.currency, sum(n.amount_minor) AS posted_minor
    FROM (
        SELECT {_named(ids.PAYOUT_AT_PSP)} AS payout_id, j.merchant_id, j.currency, t.credit_minor - t.debit_minor
            AS amount_minor
        FROM ledger_journals AS j INNER JOIN ledger_entries AS t ON {_OF_JOURNAL}
            AND t.account_code = '{Account.PSP_CLEARING}'
        WHERE j.correlation_id LIKE '{ids.PAYOUT_AT_PSP}\\_%'
    ) AS n
    GROUP BY n.payout_id, n.merchant_id, n.currency HAVING sum(n.amount_minor) <> 0
) AS p ON p.payout_id = x.payout_id AND p.merchant_id = x.merchant_id AND p.currency = x.currency
WHERE x.net_minor IS DISTINCT FROM p.posted_minor
"""

# Payouts came as what the bank has booked, where both are in one currency; what a bank kept is written off.
DEPOSIT_DISAGREES = f"""
SELECT s.match_id, format('sent %s, came %s %s', s.sent_minor, s.came_minor, s.currency)
FROM (
    SELECT e.match_id, max(coalesce(y.currency, b.currency)) AS currency, sum(y.amount_minor) AS sent_minor,
        sum(b.amount_minor + coalesce(w.amount_minor, 0)) AS came_minor,
        count(DISTINCT coalesce(y.currency, b.currency)) AS currencies
    FROM explained AS e
    LEFT JOIN psp_payouts AS y ON y.id = e.item_id AND e.side = 'payout'
    LEFT JOIN bank_lines AS b ON b.id = e.item_id AND e.side = 'bank_line'
    LEFT JOIN (
        SELECT n.line_id, sum(n.amount_minor) AS amount_minor
        FROM (
            SELECT {_named(ids.BANK_LINE)} AS line_id, t.credit_minor - t.debit_minor AS amount_minor
            FROM ledger_journals AS j INNER JOIN ledger_entries AS t ON {_OF_JOURNAL}
                AND t.account_code = '{Account.CASH}'
            WHERE j.kind IN ('write_off', 'write_off_undone')
        ) AS n
        GROUP BY n.line_id
    ) AS w ON w.line_id = b.id
    WHERE e.side IN ('payout', 'bank_line') AND e.rule NOT IN ('bank_fee', 'written_off', 'sent_again')
    GROUP BY e.match_id
) AS s
WHERE s.currencies = 1 AND s.sent_minor IS DISTINCT FROM s.came_minor
"""

_BALANCES = """
SELECT b.merchant_id, b.currency, sum(b.debit_minor - b.credit_minor) AS amount_minor
FROM ledger_balances AS b WHERE b.account_code IN ({0}) GROUP BY b.merchant_id, b.currency
"""


def _balance_disagrees(accounts: str, what: str, says: str) -> str:
    """Where the sum of accounts is not the sum of what waits there, by merchant and currency."""
    return f"""
    SELECT format('%s %s', {_MERCHANT.format("coalesce(x.merchant_id, b.merchant_id)")},
            coalesce(x.currency, b.currency)),
        format('{says} %s, booked %s', coalesce(x.amount_minor, 0), coalesce(b.amount_minor, 0))
    FROM (
        SELECT n.merchant_id, n.currency, sum(n.amount_minor) AS amount_minor FROM ({what}) AS n
        GROUP BY n.merchant_id, n.currency
    ) AS x
    FULL JOIN ({_BALANCES.format(accounts)}) AS b ON b.merchant_id = x.merchant_id AND b.currency = x.currency
    WHERE coalesce(x.amount_minor, 0) <> coalesce(b.amount_minor, 0)
    """


def _waiting(kinds: str) -> str:
    """Operations of these kinds that wait for their report, and those that are not collected yet."""
    return f"""
    SELECT o.merchant_id, o.currency, o.amount_minor FROM operations_in_transit AS o WHERE o.kind {kinds}
    UNION ALL
    SELECT f.merchant_id, f.currency, f.amount_minor FROM ({_OPERATIONS}) AS f
    CROSS JOIN operations_cursor AS c
    LEFT JOIN operations_in_transit AS o ON o.id = f.id AND o.merchant_id = f.merchant_id
    LEFT JOIN explained AS e ON e.item_id = f.id AND e.side = 'operation'
    WHERE f.is_own AND f.tx >= c.tx AND f.kind {kinds} AND o.id IS NULL AND e.item_id IS NULL
    """


FUNDS_DISAGREE = _balance_disagrees(
    f"'{Account.CUSTOMER_FUNDS_IN_TRANSIT}'", _waiting(f"NOT IN {_OF_DISPUTES}"), "in transit"
)
# What is held for a dispute is at the PSP once its report says so.
DISPUTES_DISAGREE = _balance_disagrees(
    f"'{Account.DISPUTED_FUNDS_AT_PSP}', '{Account.DISPUTED_FUNDS_HELD}'", _waiting(f"IN {_OF_DISPUTES}"), "in transit"
)
CLEARING_DISAGREES = _balance_disagrees(
    f"'{Account.PSP_CLEARING}'",
    f"SELECT s.merchant_id, s.currency, s.net_minor AS amount_minor FROM ({_EXPLAINED_LINES}) AS s "
    "WHERE NOT s.is_shared",
    "reported and not deposited",
)
# What came and is nobody's: rests of deposits, and bank lines whose time is up, but for what was given up.
SUSPENSE_DISAGREES = _balance_disagrees(
    f"'{Account.SUSPENSE}'",
    f"""
    SELECT '{ids.OPERATOR_MERCHANT}'::uuid AS merchant_id, y.currency, -y.amount_minor AS amount_minor
    FROM psp_payouts AS y WHERE y.deposited_at IS NOT NULL AND NOT y.written_off AND y.sent_again_with IS NULL
    UNION ALL
    SELECT '{ids.OPERATOR_MERCHANT}'::uuid, s.currency, s.net_minor FROM ({_EXPLAINED_LINES}) AS s WHERE s.is_at_bank
    UNION ALL
    SELECT '{ids.OPERATOR_MERCHANT}'::uuid, b.currency, -b.amount_minor
    FROM open_bank_lines AS o INNER JOIN bank_lines AS b ON b.id = o.line_id WHERE o.in_suspense
    UNION ALL
    SELECT j.merchant_id, j.currency, t.debit_minor - t.credit_minor
    FROM ledger_journals AS j
    INNER JOIN ledger_entries AS t ON {_OF_JOURNAL} AND t.account_code = '{Account.SUSPENSE}'
    WHERE j.kind IN ('write_off', 'write_off_undone') AND j.correlation_id LIKE '{ids.PAYOUT_AT_PSP}\\_%'
    """,
    "not explained",
)

# Captures count as settled once every line under their match is shared out.
SETTLED_WRONG = f"""
SELECT p.id, format('settled %s, reported and at the bank %s', p.settled_minor, coalesce(x.amount_minor, 0))
FROM payments AS p
LEFT JOIN (
    SELECT f.payment_id, f.merchant_id, sum(f.amount_minor) AS amount_minor
    FROM ({_OPERATIONS}) AS f
    INNER JOIN explained AS e ON e.item_id = f.id AND e.side = 'operation' AND e.merchant_id = f.merchant_id
    INNER JOIN (
        SELECT s.match_id FROM ({_EXPLAINED_LINES}) AS s GROUP BY s.match_id HAVING bool_and(s.is_at_bank)
    ) AS m ON m.match_id = e.match_id
    WHERE f.is_own AND f.kind = 'capture' GROUP BY f.payment_id, f.merchant_id
) AS x ON x.payment_id = p.id AND x.merchant_id = p.merchant_id
WHERE p.settled_minor <> coalesce(x.amount_minor, 0)
"""

# What people decided is in the books and in the audit log.
DECISION_WITHOUT_A_NAME = f"""
SELECT b.id, format('%s by %s: %s', b.resolution, b.resolved_by,
    CASE WHEN b.journal_id IS NOT NULL AND j.id IS NULL THEN 'its journal is not there' ELSE 'nobody said why' END)
FROM breaks AS b
LEFT JOIN ledger_journals AS j ON j.id = b.journal_id
LEFT JOIN (SELECT DISTINCT a.subject FROM audit_log AS a WHERE a.action = 'resolve_break') AS a
    ON a.subject = '{ids.BREAK}_' || replace(b.id::text, '-', '')
WHERE b.resolution IN ('written_off', 'accepted', 'dismissed')
    AND (a.subject IS NULL OR (b.journal_id IS NOT NULL AND j.id IS NULL))
"""
