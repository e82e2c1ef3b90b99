"""Every SQL statement that looks for what is wrong in the ledger. Each gives (subject, detail)."""

from bezant.base import ids
from bezant.ledger.accounts import Account

_OF_JOURNAL = "ON e.journal_id = j.id AND e.merchant_id = j.merchant_id"
_IN_TRANSIT = f"'{Account.CUSTOMER_FUNDS_IN_TRANSIT}'"
_FEE = f"'{Account.PLATFORM_FEE_REVENUE}'"
_ACCOUNTS = ", ".join(f"'{account}'" for account in Account)
_KINDS_OF_ATTEMPTS = "'capture', 'refund', 'refund_failed'"

UNBALANCED = """
SELECT e.journal_id, format('debits %s, credits %s', sum(e.debit_minor), sum(e.credit_minor))
FROM ledger_entries AS e GROUP BY e.journal_id, e.merchant_id HAVING sum(e.debit_minor) <> sum(e.credit_minor)
"""

INCOMPLETE = """
SELECT j.id, format('says %s entries, has %s, lines %s to %s', j.entry_count, coalesce(e.lines, 0), e.first, e.last)
FROM ledger_journals AS j
LEFT JOIN (
    SELECT n.journal_id, n.merchant_id, count(*) AS lines, min(n.line) AS first, max(n.line) AS last
    FROM ledger_entries AS n GROUP BY n.journal_id, n.merchant_id
) AS e ON e.journal_id = j.id AND e.merchant_id = j.merchant_id
WHERE e.lines IS DISTINCT FROM j.entry_count OR e.first <> 1 OR e.last <> j.entry_count
"""

WITHOUT_JOURNAL = f"""
SELECT DISTINCT e.journal_id, 'entries without their journal'
FROM ledger_entries AS e LEFT JOIN ledger_journals AS j {_OF_JOURNAL} WHERE j.id IS NULL
"""

NOT_ONE_SIDE = f"""
SELECT e.journal_id, format('line %s: %s, debit %s, credit %s', e.line, e.account_code, e.debit_minor, e.credit_minor)
FROM ledger_entries AS e
WHERE e.debit_minor < 0 OR e.credit_minor < 0 OR (e.debit_minor = 0) = (e.credit_minor = 0)
    OR e.account_code NOT IN ({_ACCOUNTS})
"""

# A PSP may report, take fees and have disputes in another currency than the payment's.
OF_OTHER_PAYMENT = f"""
SELECT j.id, CASE WHEN p.id IS NULL THEN 'its merchant has no such payment'
    ELSE format('in %s, its payment in %s', j.currency, p.currency) END
FROM ledger_journals AS j
LEFT JOIN payments AS p ON p.id = j.payment_id AND p.merchant_id = j.merchant_id
WHERE j.payment_id IS NOT NULL AND (p.id IS NULL OR (
    p.currency <> j.currency AND j.kind IN ({_KINDS_OF_ATTEMPTS}, 'psp_settlement', 'psp_settlement_refund')
))
"""

# The id that `ids.derived` makes: time bits of the payment, then 80 bits of SHA-256, with version 7 and variant 2.
ID_NOT_DERIVED = """
SELECT d.id, format('not the id of (%s, %s)', d.kind, d.correlation_id)
FROM (
    SELECT j.id, j.kind, j.correlation_id, j.payment_id, substring(
        sha256(convert_to(concat_ws(
            chr(31), replace(j.merchant_id::text, '-', ''), replace(j.payment_id::text, '-', ''), j.kind,
            j.correlation_id
        ), 'UTF8')) FROM 1 FOR 10
    ) AS digest
    FROM ledger_journals AS j WHERE j.payment_id IS NOT NULL
) AS d
WHERE uuid_send(d.id) <> substring(uuid_send(d.payment_id) FROM 1 FOR 6) || set_byte(
    set_byte(d.digest, 0, (get_byte(d.digest, 0) & 15) | 112), 2, (get_byte(d.digest, 2) & 63) | 128
)
"""

POSTED_TWICE = """
SELECT max(j.id::text)::uuid, format('%s journals of one fact: %s, %s', count(*), j.kind, j.correlation_id)
FROM ledger_journals AS j
GROUP BY j.merchant_id, j.payment_id, j.kind, j.correlation_id HAVING count(*) > 1
"""

BALANCE_WRONG = f"""
SELECT
    format('{ids.MERCHANT}_%s %s %s', replace(coalesce(b.merchant_id, s.merchant_id)::text, '-', ''),
        coalesce(b.currency, s.currency), coalesce(b.account_code, s.account_code)),
    format('kept %s / %s, entries %s / %s', b.debit_minor, b.credit_minor, s.debit_minor, s.credit_minor)
FROM ledger_balances AS b
FULL JOIN (
    SELECT e.merchant_id, j.currency, e.account_code, sum(e.debit_minor) AS debit_minor,
        sum(e.credit_minor) AS credit_minor
    FROM ledger_entries AS e INNER JOIN ledger_journals AS j {_OF_JOURNAL}
    GROUP BY e.merchant_id, j.currency, e.account_code
) AS s ON s.merchant_id = b.merchant_id AND s.currency = b.currency AND s.account_code = b.account_code
WHERE b.debit_minor IS DISTINCT FROM s.debit_minor OR b.credit_minor IS DISTINCT FROM s.credit_minor
"""

TRIAL_BALANCE_WRONG = f"""
SELECT format('{ids.MERCHANT}_%s %s', replace(b.merchant_id::text, '-', ''), b.currency),
    format('debits %s, credits %s', sum(b.debit_minor), sum(b.credit_minor))
FROM ledger_balances AS b GROUP BY b.merchant_id, b.currency HAVING sum(b.debit_minor) <> sum(b.credit_minor)
"""

# What each attempt, as it stands, must have posted. A refund that succeeded and came back has two journals.
_EXPECTED = f"""
SELECT a.id AS attempt_id, a.merchant_id, a.payment_id, 'capture' AS kind,
    CASE a.operation WHEN 'authorize' THEN a.captured_minor ELSE a.moved_minor END AS amount_minor,
    '{ids.ATTEMPT}_' || replace(a.id::text, '-', '') AS correlation_id
FROM payment_attempts AS a
WHERE a.status = 'approved' AND (a.operation = 'capture' OR (a.operation = 'authorize' AND a.captured_minor > 0))
UNION ALL
SELECT a.id, a.merchant_id, a.payment_id, k.kind, a.moved_minor,
    '{ids.ATTEMPT}_' || replace(a.id::text, '-', '')
FROM payment_attempts AS a
INNER JOIN refunds AS r ON r.id = a.refund_id AND r.merchant_id = a.merchant_id
INNER JOIN (VALUES ('refund'), ('refund_failed')) AS k (kind) ON k.kind = 'refund' OR r.status = 'failed'
WHERE a.status = 'approved' AND a.operation = 'refund'
"""
_POSTED = f"""
SELECT j.id, j.merchant_id, j.payment_id, j.kind, j.correlation_id,
    sum(CASE WHEN e.account_code = {_IN_TRANSIT} THEN e.debit_minor - e.credit_minor ELSE 0 END)
        * CASE j.kind WHEN 'refund' THEN -1 ELSE 1 END AS amount_minor
FROM ledger_journals AS j LEFT JOIN ledger_entries AS e {_OF_JOURNAL}
WHERE j.kind IN ({_KINDS_OF_ATTEMPTS})
GROUP BY j.id, j.merchant_id, j.payment_id, j.kind, j.correlation_id
"""
_SAME_FACT = """
p.merchant_id = x.merchant_id AND p.payment_id = x.payment_id AND p.kind = x.kind
    AND p.correlation_id = x.correlation_id
"""

EFFECT_NOT_POSTED = f"""
SELECT x.attempt_id, format('%s of %s, posted %s', x.kind, x.amount_minor, p.amount_minor)
FROM ({_EXPECTED}) AS x LEFT JOIN ({_POSTED}) AS p ON {_SAME_FACT}
WHERE p.amount_minor IS DISTINCT FROM x.amount_minor
"""

POSTED_WITHOUT_EFFECT = f"""
SELECT p.id, format('%s of %s for %s', p.kind, p.amount_minor, p.correlation_id)
FROM ({_POSTED}) AS p LEFT JOIN ({_EXPECTED}) AS x ON {_SAME_FACT} WHERE x.attempt_id IS NULL
"""

NOT_BY_THE_TABLE = """
SELECT DISTINCT j.id, format('%s with an entry on %s', j.kind, e.account_code)
FROM ledger_journals AS j
INNER JOIN ledger_entries AS e ON e.journal_id = j.id AND e.merchant_id = j.merchant_id
WHERE (
    j.kind = 'capture'
    AND e.account_code NOT IN ('customer_funds_in_transit', 'merchant_payable', 'platform_fee_revenue')
) OR (
    j.kind IN ('refund', 'refund_failed') AND e.account_code NOT IN ('customer_funds_in_transit', 'merchant_payable')
)
"""

PAYMENT_NOT_BOOKED = f"""
SELECT p.id, format('captured %s, refunded %s, fee %s; booked %s, %s, %s', p.captured_minor, p.refunded_minor,
    p.platform_fee_minor, coalesce(b.captured_minor, 0), coalesce(b.refunded_minor, 0), coalesce(b.fee_minor, 0))
FROM payments AS p
LEFT JOIN (
    SELECT j.payment_id, j.merchant_id,
        sum(e.debit_minor - e.credit_minor)
            FILTER (WHERE j.kind = 'capture' AND e.account_code = {_IN_TRANSIT}) AS captured_minor,
        sum(e.credit_minor - e.debit_minor)
            FILTER (WHERE j.kind <> 'capture' AND e.account_code = {_IN_TRANSIT}) AS refunded_minor,
        sum(e.credit_minor - e.debit_minor)
            FILTER (WHERE j.kind = 'capture' AND e.account_code = {_FEE}) AS fee_minor
    FROM ledger_journals AS j INNER JOIN ledger_entries AS e {_OF_JOURNAL}
    WHERE j.kind IN ({_KINDS_OF_ATTEMPTS}) GROUP BY j.payment_id, j.merchant_id
) AS b ON b.payment_id = p.id AND b.merchant_id = p.merchant_id
WHERE coalesce(b.captured_minor, 0) <> p.captured_minor OR coalesce(b.refunded_minor, 0) <> p.refunded_minor
    OR coalesce(b.fee_minor, 0) <> p.platform_fee_minor
"""
