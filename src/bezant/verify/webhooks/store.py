"""Every SQL statement that looks for what is wrong with webhooks to merchants."""

# Somebody would wait for ever: nothing makes the others due but the settling of the first.
NOBODY_IS_DUE = """
SELECT f.id, format('first of %s at endpoint %s', f.ordering_id, f.endpoint_id)
FROM (
    SELECT DISTINCT ON (d.endpoint_id, d.ordering_id) d.id, d.endpoint_id, d.ordering_id, d.next_try_at
    FROM webhook_deliveries AS d WHERE d.status = 'pending'
    ORDER BY d.endpoint_id, d.ordering_id, d.tx, d.position, d.id
) AS f
WHERE f.next_try_at IS NULL
"""

ANOTHER_EVENT = """
SELECT d.id, format('event %s: %s at (%s, %s)', o.id, o.type, o.tx, o.position)
FROM webhook_deliveries AS d
LEFT JOIN outbox_events AS o ON o.id = d.event_id AND o.merchant_id = d.merchant_id
WHERE (d.event_type, d.tx, d.position, d.ordering_id)
    IS DISTINCT FROM (o.type, o.tx, o.position, coalesce(o.payment_id, o.id))
"""

NOT_TAKEN = """
SELECT d.id, format('%s tries', count(t.id))
FROM webhook_deliveries AS d LEFT JOIN webhook_tries AS t ON t.delivery_id = d.id AND t.merchant_id = d.merchant_id
WHERE d.status = 'delivered' GROUP BY d.id, d.merchant_id
HAVING count(t.id) FILTER (WHERE t.status BETWEEN 200 AND 299) = 0
"""
