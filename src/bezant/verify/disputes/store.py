"""Every SQL statement that looks for what is wrong with disputes. Each gives (subject, detail)."""

from bezant.base import ids

_SHOWN = f"'{ids.DISPUTE}_' || replace(r.dispute_id::text, '-', '')"

# What each round, as it stands, must have posted: debits above zero, credits below.
_EXPECTED = f"""
SELECT r.merchant_id, r.payment_id, r.dispute_id, x.kind, {_SHOWN} || ':' || r.round AS correlation_id,
    CASE WHEN x.kind = 'dispute_fee_charged' THEN r.fee_currency ELSE r.currency END AS currency, x.account_code,
    x.amount_minor
FROM dispute_rounds AS r
CROSS JOIN LATERAL (VALUES
    (true, 'dispute_opened', 'merchant_payable', r.amount_minor),
    (true, 'dispute_opened', 'disputed_funds_held', -r.amount_minor),
    (r.outcome = 'won', 'dispute_won', 'disputed_funds_held', r.amount_minor),
    (r.outcome = 'won', 'dispute_won', 'merchant_payable', -r.amount_minor),
    (r.outcome = 'lost' OR r.overturned, 'dispute_lost', 'disputed_funds_held', r.amount_minor),
    (r.outcome = 'lost' OR r.overturned, 'dispute_lost', 'disputed_funds_at_psp', -r.amount_minor),
    (r.overturned, 'dispute_lost_reversed', 'disputed_funds_at_psp', r.amount_minor),
    (r.overturned, 'dispute_lost_reversed', 'disputed_funds_held', -r.amount_minor),
    (r.absorbed_minor > 0, 'dispute_loss_absorbed', 'dispute_loss_expense', r.absorbed_minor),
    (r.absorbed_minor > 0, 'dispute_loss_absorbed', 'merchant_payable', -r.absorbed_minor),
    (r.absorbed_minor > 0 AND r.overturned, 'dispute_loss_absorbed_reversed', 'merchant_payable', r.absorbed_minor),
    (r.absorbed_minor > 0 AND r.overturned, 'dispute_loss_absorbed_reversed', 'dispute_loss_expense',
        -r.absorbed_minor),
    (r.fee_charged_minor > 0, 'dispute_fee_charged', 'merchant_payable', r.fee_charged_minor),
    (r.fee_charged_minor > 0, 'dispute_fee_charged', 'dispute_fee_expense', -r.fee_charged_minor)
) AS x (must_be, kind, account_code, amount_minor)
WHERE x.must_be
"""
_POSTED = """
SELECT j.id, j.merchant_id, j.payment_id, j.kind, j.correlation_id, j.currency, e.account_code,
    sum(e.debit_minor - e.credit_minor) AS amount_minor
FROM ledger_journals AS j INNER JOIN ledger_entries AS e ON e.journal_id = j.id AND e.merchant_id = j.merchant_id
WHERE j.kind LIKE 'dispute\\_%'
GROUP BY j.id, j.merchant_id, j.payment_id, j.kind, j.correlation_id, j.currency, e.account_code
"""
_SAME_ENTRY = """
p.merchant_id = x.merchant_id AND p.payment_id = x.payment_id AND p.kind = x.kind
    AND p.correlation_id = x.correlation_id AND p.account_code = x.account_code AND p.currency = x.currency
"""

ROUND_NOT_POSTED = f"""
SELECT x.dispute_id, format('%s of %s %s on %s, posted %s', x.kind, x.amount_minor, x.currency, x.account_code,
    p.amount_minor)
FROM ({_EXPECTED}) AS x LEFT JOIN ({_POSTED}) AS p ON {_SAME_ENTRY}
WHERE p.amount_minor IS DISTINCT FROM x.amount_minor
"""

POSTED_WITHOUT_ROUND = f"""
SELECT p.id, format('%s of %s %s on %s for %s', p.kind, p.amount_minor, p.currency, p.account_code, p.correlation_id)
FROM ({_POSTED}) AS p LEFT JOIN ({_EXPECTED}) AS x ON {_SAME_ENTRY} WHERE x.dispute_id IS NULL
"""

DISPUTED_WRONG = """
SELECT p.id, format('disputed %s, %s of it open; its rounds %s and %s', p.disputed_minor, p.disputed_open_minor,
    coalesce(r.disputed_minor, 0), coalesce(r.open_minor, 0))
FROM payments AS p
LEFT JOIN (
    SELECT n.payment_id, n.merchant_id, sum(n.held_minor) FILTER (WHERE n.outcome <> 'won') AS disputed_minor,
        sum(n.held_minor) FILTER (WHERE n.outcome = 'open') AS open_minor
    FROM dispute_rounds AS n GROUP BY n.payment_id, n.merchant_id
) AS r ON r.payment_id = p.id AND r.merchant_id = p.merchant_id
WHERE p.disputed_minor <> coalesce(r.disputed_minor, 0) OR p.disputed_open_minor <> coalesce(r.open_minor, 0)
"""

# A dispute stands where its last round does, and each round before that one was won.
STATUS_WRONG = """
SELECT d.id, format('%s, %s, round %s; its rounds: %s', d.stage, d.status, d.round, r.outcomes)
FROM disputes AS d
LEFT JOIN payments AS p ON p.id = d.payment_id AND p.merchant_id = d.merchant_id
LEFT JOIN (
    SELECT n.dispute_id, n.merchant_id, array_agg(n.outcome ORDER BY n.round) AS outcomes,
        array_agg(n.round::integer ORDER BY n.round) AS numbers,
        bool_and(n.payment_id = p.payment_id) AS is_of_payment
    FROM dispute_rounds AS n INNER JOIN disputes AS p ON p.id = n.dispute_id AND p.merchant_id = n.merchant_id
    GROUP BY n.dispute_id, n.merchant_id
) AS r ON r.dispute_id = d.id AND r.merchant_id = d.merchant_id
WHERE p.id IS NULL OR p.psp <> d.psp OR p.psp_account_id IS DISTINCT FROM d.psp_account_id
    OR cardinality(coalesce(r.numbers, '{}')) <> d.round OR NOT coalesce(r.is_of_payment, true)
    OR r.numbers IS DISTINCT FROM (
        SELECT array_agg(number ORDER BY number) FROM generate_series(1, d.round) AS number
    )
    OR NOT 'won' = ALL(trim_array(coalesce(r.outcomes, '{won}'), 1))
    OR (d.round > 0 AND r.outcomes[d.round] IS DISTINCT FROM CASE
        WHEN d.status IN ('needs_response', 'under_review') THEN 'open' WHEN d.status = 'won' THEN 'won'
        WHEN d.status IN ('lost', 'accepted', 'expired') THEN 'lost' END)
"""

# Whoever did it, or nobody any more, or the PSP is asked: one of them ends what is open.
ACTION_FORGOTTEN = """
SELECT a.id, format('%s, lease until %s, next check %s', a.status, a.lease_until, a.next_check_at)
FROM dispute_actions AS a
WHERE (a.status IN ('sending', 'unknown')) <> (a.next_check_at IS NOT NULL)
    OR (a.status = 'declined') <> (a.failure IS NOT NULL)
    OR a.lease_until > a.updated_at + interval '1 day' OR a.next_check_at > a.updated_at + interval '3 days'
"""

SUBMITTED_TWICE = """
SELECT max(a.id::text)::uuid, format('%s actions of round %s', count(*), a.round)
FROM dispute_actions AS a WHERE a.status <> 'declined'
GROUP BY a.dispute_id, a.merchant_id, a.round HAVING count(*) > 1
"""

EVIDENCE_CHANGED = """
SELECT e.id, CASE WHEN e.content IS NOT NULL AND e.sha256 <> sha256(e.content) THEN 'its content is not what was hashed'
    ELSE format('handed in by an action that is %s', coalesce(a.status, 'not there')) END
FROM dispute_evidence AS e
LEFT JOIN dispute_actions AS a ON a.id = e.submitted_by AND a.merchant_id = e.merchant_id
    AND a.dispute_id = e.dispute_id AND a.round = e.round
WHERE (e.content IS NOT NULL AND e.sha256 <> sha256(e.content))
    OR (e.submitted_by IS NOT NULL AND (a.id IS NULL OR a.status <> 'approved' OR a.action <> 'submit'))
"""

# Of each round the opening and the end are told, once each; what was overturned has two ends.
NOT_TOLD = f"""
SELECT d.id, format('told of round %s: %s opened, %s won, %s lost', r.round, e.opened, e.won, e.lost)
FROM dispute_rounds AS r
INNER JOIN disputes AS d ON d.id = r.dispute_id AND d.merchant_id = r.merchant_id
LEFT JOIN (
    SELECT n.payment_id, n.merchant_id, n.data -> 'dispute' ->> 'dispute_id' AS dispute,
        (n.data -> 'dispute' ->> 'round')::integer AS round,
        count(*) FILTER (WHERE n.type = 'dispute.opened') AS opened,
        count(*) FILTER (WHERE n.type = 'dispute.won') AS won, count(*) FILTER (WHERE n.type = 'dispute.lost') AS lost
    FROM outbox_events AS n WHERE n.type LIKE 'dispute.%' GROUP BY 1, 2, 3, 4
) AS e ON e.payment_id = r.payment_id AND e.merchant_id = r.merchant_id AND e.round = r.round
    AND e.dispute = {_SHOWN}
WHERE e.opened IS DISTINCT FROM 1 OR e.won <> (r.outcome = 'won')::integer
    OR e.lost <> (r.outcome = 'lost' OR r.overturned)::integer
"""
