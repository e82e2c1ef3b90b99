"""Every SQL statement that looks for what is wrong with payments and attempts. Each gives (subject, detail)."""

from bezant.payments.states import Payment

_UNRESOLVED = "a.status IN ('sending', 'pending', 'unknown')"

# What the attempts of each payment say that happened and that is reserved.
_DONE = f"""
SELECT a.payment_id, a.merchant_id,
    count(*) FILTER (WHERE a.operation = 'authorize' AND a.status = 'approved') AS authorizations,
    array_agg(a.moved_minor) FILTER (WHERE a.operation = 'authorize' AND a.status = 'approved') AS authorized,
    array_agg(a.psp_reference) FILTER (WHERE a.operation = 'authorize' AND a.status = 'approved') AS psp_references,
    coalesce(sum(CASE a.operation WHEN 'authorize' THEN a.captured_minor WHEN 'capture' THEN a.moved_minor END)
        FILTER (WHERE a.status = 'approved'), 0) AS captured_minor,
    coalesce(sum(a.amount_minor) FILTER (WHERE a.operation = 'capture' AND {_UNRESOLVED}), 0) AS capturing_minor,
    coalesce(sum(a.amount_minor) FILTER (WHERE a.operation = 'refund' AND {_UNRESOLVED}), 0) AS refunding_minor,
    bool_or(a.status = 'approved' AND (
        a.operation = 'cancel' OR (a.operation = 'capture' AND a.final)
        OR (a.operation = 'authorize' AND a.captured_minor > 0)
    )) AS is_closed
FROM payment_attempts AS a GROUP BY a.payment_id, a.merchant_id
"""
_WITH_DONE = f"""
FROM payments AS p LEFT JOIN ({_DONE}) AS d ON d.payment_id = p.id AND d.merchant_id = p.merchant_id
"""
_WITH_BREAKS = """
LEFT JOIN (
    SELECT b.payment_id, b.merchant_id, count(*) AS breaks
    FROM breaks AS b WHERE b.item_id IS NULL GROUP BY b.payment_id, b.merchant_id
) AS k ON k.payment_id = p.id AND k.merchant_id = p.merchant_id
"""

AUTHORIZED_WRONG = f"""
SELECT p.id, format('authorized %s at %s, its attempts %s at %s', p.authorized_minor, p.gateway_ref, d.authorized,
    d.psp_references)
{_WITH_DONE} {_WITH_BREAKS}
WHERE CASE WHEN coalesce(d.authorizations, 0) = 0 THEN p.authorized_minor <> 0
    ELSE NOT p.authorized_minor = ANY(d.authorized) OR coalesce(p.gateway_ref, '') <> ALL(d.psp_references)
        OR (d.authorizations > 1 AND k.breaks IS NULL)
    END
"""

CAPTURED_WRONG = f"""
SELECT p.id, format('captured %s, its attempts %s', p.captured_minor, coalesce(d.captured_minor, 0)) {_WITH_DONE}
WHERE p.captured_minor <> coalesce(d.captured_minor, 0)
"""

REFUNDED_WRONG = """
SELECT p.id, format('refunded %s and refunding %s, its refunds %s and %s', p.refunded_minor, p.refunding_minor,
    coalesce(r.succeeded_minor, 0), coalesce(r.pending_minor, 0))
FROM payments AS p
LEFT JOIN (
    SELECT n.payment_id, n.merchant_id,
        sum(n.amount_minor) FILTER (WHERE n.status = 'succeeded') AS succeeded_minor,
        sum(n.amount_minor) FILTER (WHERE n.status = 'pending') AS pending_minor
    FROM refunds AS n GROUP BY n.payment_id, n.merchant_id
) AS r ON r.payment_id = p.id AND r.merchant_id = p.merchant_id
WHERE p.refunded_minor <> coalesce(r.succeeded_minor, 0) OR p.refunding_minor <> coalesce(r.pending_minor, 0)
"""

RELEASED_WRONG = f"""
SELECT p.id, format('authorized %s, captured %s and %s in excess, released %s', p.authorized_minor, p.captured_minor,
    p.excess_captured_minor, p.released_minor)
{_WITH_DONE} {_WITH_BREAKS}
WHERE NOT (p.released_minor = 0 AND (NOT coalesce(d.is_closed, false) OR k.breaks > 0))
    AND NOT (d.is_closed AND p.released_minor
        = p.authorized_minor - p.captured_minor + p.excess_captured_minor - p.capturing_minor)
"""

RESERVED_WRONG = f"""
SELECT p.id, format('capturing %s, refunding %s; in flight %s, %s', p.capturing_minor, p.refunding_minor,
    coalesce(d.capturing_minor, 0), coalesce(d.refunding_minor, 0))
{_WITH_DONE}
WHERE p.capturing_minor <> coalesce(d.capturing_minor, 0) OR p.refunding_minor <> coalesce(d.refunding_minor, 0)
"""

OUT_OF_BOUNDS = """
SELECT p.id, format('amount %s, authorized %s, captured %s (%s in excess, %s in flight), released %s, refunded %s '
    '(%s in excess, %s in flight), disputed %s, fee %s', p.amount_minor, p.authorized_minor, p.captured_minor,
    p.excess_captured_minor, p.capturing_minor, p.released_minor, p.refunded_minor, p.excess_refunded_minor,
    p.refunding_minor, p.disputed_minor, p.platform_fee_minor)
FROM payments AS p
WHERE p.authorized_minor > p.amount_minor
    OR p.captured_minor - p.excess_captured_minor + p.capturing_minor + p.released_minor > p.authorized_minor
    OR p.refunded_minor - p.excess_refunded_minor + p.refunding_minor + p.disputed_minor > p.captured_minor
    OR p.platform_fee_minor > p.captured_minor
    OR least(p.authorized_minor, p.captured_minor, p.refunded_minor, p.disputed_minor, p.released_minor,
        p.capturing_minor, p.refunding_minor, p.excess_captured_minor, p.excess_refunded_minor,
        p.platform_fee_minor) < 0
"""

EXCESS_WITHOUT_BREAK = f"""
SELECT p.id, format('excess captured %s, refunded %s', p.excess_captured_minor, p.excess_refunded_minor)
FROM payments AS p {_WITH_BREAKS}
WHERE k.breaks IS NULL AND (p.excess_captured_minor > 0 OR p.excess_refunded_minor > 0)
"""

REFUND_WITHOUT_ITS_ATTEMPT = f"""
SELECT r.id, format('%s, %s %s; attempts: %s', r.status, r.amount_minor, r.currency,
    array_agg(format('%s %s', a.status, a.amount_minor)) FILTER (WHERE a.id IS NOT NULL))
FROM refunds AS r
LEFT JOIN payments AS p ON p.id = r.payment_id AND p.merchant_id = r.merchant_id
LEFT JOIN payment_attempts AS a ON a.refund_id = r.id AND a.merchant_id = r.merchant_id
GROUP BY r.id, r.merchant_id, r.status, r.amount_minor, r.currency, p.currency
HAVING count(a.id) <> 1 OR p.currency IS DISTINCT FROM r.currency OR NOT bool_and(
    a.operation = 'refund' AND a.payment_id = r.payment_id AND a.amount_minor = r.amount_minor
    AND CASE r.status WHEN 'pending' THEN {_UNRESOLVED} WHEN 'succeeded' THEN a.status = 'approved'
        ELSE a.status IN ('approved', 'declined') END
)
"""

ATTEMPT_CONTRADICTS_ITSELF = """
SELECT a.id, format('%s %s: asked %s %s, moved %s, captured %s', a.status, a.operation, a.amount_minor, a.currency,
    a.moved_minor, a.captured_minor)
FROM payment_attempts AS a
LEFT JOIN payments AS p ON p.id = a.payment_id AND p.merchant_id = a.merchant_id
WHERE p.currency <> a.currency OR p.psp <> a.psp OR (a.status = 'approved') <> (a.moved_minor IS NOT NULL)
    OR (a.status = 'declined') <> (a.failure IS NOT NULL) OR (a.operation = 'refund') <> (a.refund_id IS NOT NULL)
    OR a.moved_minor > a.amount_minor
    OR (a.operation IN ('capture', 'refund') AND a.moved_minor <> a.amount_minor)
    OR a.captured_minor > CASE WHEN a.operation = 'authorize' AND a.captures THEN coalesce(a.moved_minor, 0) ELSE 0 END
"""

TWO_UNRESOLVED = f"""
SELECT a.payment_id, format('%s: %s', count(*), string_agg(a.operation || ' ' || a.status, ', '))
FROM payment_attempts AS a WHERE a.operation <> 'refund' AND {_UNRESOLVED}
GROUP BY a.payment_id, a.merchant_id HAVING count(*) > 1
"""

# Sync finds what is being sent by its lease and the rest by the time of its next check.
FORGOTTEN = f"""
SELECT a.id, format('%s, lease until %s, next check %s', a.status, a.lease_until, a.next_check_at)
FROM payment_attempts AS a
LEFT JOIN (
    SELECT n.payment_id, n.merchant_id FROM payment_attempts AS n
    WHERE n.operation = 'cancel' AND n.status IN ('sending', 'pending', 'unknown') GROUP BY n.payment_id, n.merchant_id
) AS c ON c.payment_id = a.payment_id AND c.merchant_id = a.merchant_id
WHERE CASE
    WHEN a.status = 'superseded' THEN c.payment_id IS NULL
    WHEN {_UNRESOLVED} THEN (a.status <> 'sending' AND a.next_check_at IS NULL)
        OR a.lease_until > a.updated_at + interval '1 hour' OR a.next_check_at > a.updated_at + interval '3 days'
    ELSE a.next_check_at IS NOT NULL OR a.stuck_at IS NOT NULL
    END
"""

ONE_OPERATION_TWO_EFFECTS = """
SELECT max(a.id::text)::uuid, format('%s attempts of %s name %s', count(*), a.psp, a.psp_reference)
FROM payment_attempts AS a
WHERE a.status = 'approved' AND a.operation <> 'cancel' AND a.psp_reference IS NOT NULL
GROUP BY a.psp, a.operation, a.psp_reference HAVING count(*) > 1
"""

# An outcome stands on a PSP's answer, on a person's word, or (`canceled`) on the cancel that superseded the attempt.
OUTCOME_WITHOUT_EVIDENCE = """
SELECT a.id, format('%s, but no PSP was asked and nobody resolved it', a.status)
FROM payment_attempts AS a
LEFT JOIN (SELECT DISTINCT q.attempt_id, q.merchant_id FROM psp_requests AS q WHERE q.status IS NOT NULL) AS q
    ON q.attempt_id = a.id AND q.merchant_id = a.merchant_id
LEFT JOIN (SELECT DISTINCT l.subject FROM audit_log AS l WHERE l.action = 'resolve_attempt') AS l
    ON l.subject = 'att_' || replace(a.id::text, '-', '')
WHERE a.status IN ('approved', 'declined') AND q.attempt_id IS NULL AND l.subject IS NULL AND a.told_by IS NULL
    AND coalesce(a.failure ->> 'code', '') <> 'canceled'
"""

PAYMENTS = f"SELECT {', '.join(Payment.__struct_fields__)} FROM payments"
