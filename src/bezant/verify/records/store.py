"""Every SQL statement that looks for what is wrong with keys, events and owners; and those that read texts."""

from bezant.base import ids

_HEX = "replace({}::text, '-', '')"
_SHOWN_PAYMENT = f"'{ids.PAYMENT}_' || {_HEX.format('p.id')}"

KEY_ID_NOT_DERIVED = f"""
SELECT k.id, 'not the id of (merchant, operation, key)'
FROM idempotency_keys AS k
WHERE uuid_send(k.id) <> substring(sha256(convert_to(concat_ws(
    chr(31), {_HEX.format("k.merchant_id")}, k.operation, k.idempotency_key
), 'UTF8')) FROM 1 FOR 16)
"""

# What is in flight has an attempt, whose outcome ends it; what shows the current state has a payment to show.
# What is done to webhook endpoints is one transaction with its key, and concerns no payment.
KEY_LEADS_NOWHERE = """
SELECT k.id, format('%s, payment %s, attempt %s', k.mode, p.id, a.id)
FROM idempotency_keys AS k
LEFT JOIN payments AS p ON p.id = k.payment_id AND p.merchant_id = k.merchant_id
LEFT JOIN payment_attempts AS a ON a.id = k.attempt_id AND a.merchant_id = k.merchant_id
WHERE (k.mode = 'in_flight' AND a.id IS NULL)
    OR (p.id IS NULL AND (k.mode <> 'stored' OR k.reply_status = 200)
        AND k.operation NOT LIKE '%/webhook\\_%' AND k.operation NOT LIKE '%/reconciliation/%')
    OR (k.mode = 'stored' AND k.reply_status = 200 AND a.status IN ('sending', 'pending', 'unknown'))
    OR a.payment_id <> k.payment_id
"""

TWO_KEYS_ONE_ATTEMPT = """
SELECT k.attempt_id, format('%s keys', count(*))
FROM idempotency_keys AS k
WHERE k.attempt_id IS NOT NULL GROUP BY k.attempt_id, k.merchant_id HAVING count(*) > 1
"""

# Keys are kept for 30 days at least; one day less, because the clocks of the two rows differ.
COMMAND_WITHOUT_KEY = """
SELECT a.id, 'a client''s attempt without its key'
FROM payment_attempts AS a
LEFT JOIN idempotency_keys AS k ON k.attempt_id = a.id AND k.merchant_id = a.merchant_id
WHERE a.origin = 'client' AND a.created_at > now() - interval '29 days' AND k.id IS NULL
"""

TWO_PAYMENTS_ONE_KEY = """
SELECT max(p.id::text)::uuid, format('%s payments of one key', count(*))
FROM payments AS p WHERE p.created_at > now() - interval '29 days'
GROUP BY p.merchant_id, p.idempotency_key HAVING count(*) > 1
"""

KEYS = """
SELECT id, mode, operation, idempotency_key, payment_id, reply_status, reply_body FROM idempotency_keys
"""

# How often each event must have been told, by what the rows say that happened.
EVENT_MISSING = """
SELECT p.id, format('told: %s', e.told)
FROM payments AS p
LEFT JOIN (
    SELECT n.payment_id, n.merchant_id, string_agg(n.type, ', ' ORDER BY n.tx, n.position, n.id) AS told,
        (array_agg(n.type ORDER BY n.tx, n.position, n.id))[1] AS first,
        count(*) FILTER (WHERE n.type = 'payment.created') AS created,
        count(*) FILTER (WHERE n.type = 'payment.authorized') AS authorized,
        count(*) FILTER (WHERE n.type = 'payment.captured') AS captured,
        count(*) FILTER (WHERE n.type = 'payment.failed') AS failed,
        count(*) FILTER (WHERE n.type = 'payment.canceled') AS canceled,
        count(*) FILTER (WHERE n.type = 'refund.created') AS refunds,
        count(*) FILTER (WHERE n.type = 'refund.succeeded') AS refunds_succeeded,
        count(*) FILTER (WHERE n.type = 'refund.failed') AS refunds_failed
    FROM outbox_events AS n GROUP BY n.payment_id, n.merchant_id
) AS e ON e.payment_id = p.id AND e.merchant_id = p.merchant_id
LEFT JOIN (
    SELECT a.payment_id, a.merchant_id,
        count(*) FILTER (WHERE a.operation = 'authorize' AND a.captured_minor = 0) AS authorized,
        count(*) FILTER (WHERE a.operation = 'capture' OR a.captured_minor > 0) AS captured,
        count(*) FILTER (WHERE a.operation = 'refund') AS refunded
    FROM payment_attempts AS a WHERE a.status = 'approved' GROUP BY a.payment_id, a.merchant_id
) AS a ON a.payment_id = p.id AND a.merchant_id = p.merchant_id
LEFT JOIN (
    SELECT r.payment_id, r.merchant_id, count(*) AS created, count(*) FILTER (WHERE r.status = 'failed') AS failed
    FROM refunds AS r GROUP BY r.payment_id, r.merchant_id
) AS r ON r.payment_id = p.id AND r.merchant_id = p.merchant_id
WHERE e.created IS DISTINCT FROM 1 OR e.first <> 'payment.created' OR e.authorized <> coalesce(a.authorized, 0)
    OR e.captured <> coalesce(a.captured, 0) OR e.refunds <> coalesce(r.created, 0)
    OR e.refunds_succeeded <> coalesce(a.refunded, 0) OR e.refunds_failed < coalesce(r.failed, 0)
    OR (p.status = 'failed' AND e.failed = 0) OR (p.status = 'canceled' AND e.canceled = 0)
"""

LAST_EVENT_DISAGREES = """
SELECT p.id, format('%s, captured %s, refunded %s; its last event: %s', p.status, p.captured_minor, p.refunded_minor,
    coalesce(e.data::text, 'none'))
FROM payments AS p
LEFT JOIN (
    SELECT DISTINCT ON (n.payment_id, n.merchant_id) n.payment_id, n.merchant_id, n.data, n.tx, n.position
    FROM outbox_events AS n ORDER BY n.payment_id, n.merchant_id, n.tx DESC, n.position DESC, n.id DESC
) AS e ON e.payment_id = p.id AND e.merchant_id = p.merchant_id
WHERE e.data ->> 'status' IS DISTINCT FROM p.status OR e.tx <> p.event_tx OR e.position <> p.event_position
    OR (e.data -> 'amounts' ->> 'captured')::bigint IS DISTINCT FROM p.captured_minor
    OR (e.data -> 'amounts' ->> 'refunded')::bigint IS DISTINCT FROM p.refunded_minor
"""

EVENT_IN_OTHER_SHARD = """
SELECT e.id, format('in shard %s', e.shard) FROM outbox_events AS e
WHERE e.shard <> get_byte(uuid_send(coalesce(e.payment_id, e.merchant_id)), 15) & 15
"""

NOTICE_OF_OTHER_ACCOUNT = """
SELECT i.id, format('%s of %s, account %s; the payment: %s, account %s', i.type, i.psp, i.psp_account_id, p.psp,
    p.psp_account_id)
FROM inbox_events AS i INNER JOIN payments AS p ON p.id = i.payment_id AND p.merchant_id = i.merchant_id
WHERE i.status = 'applied' AND (i.psp <> p.psp OR i.psp_account_id IS DISTINCT FROM p.psp_account_id)
"""

# Each event tells the amounts after its change, and what is authorized or captured never becomes less.
EVENT_OUT_OF_ORDER = f"""
SELECT e.id, format('%s at (%s, %s) comes too early or too late', e.type, e.tx, e.position)
FROM (
    SELECT n.id, n.payment_id, n.merchant_id, n.type, n.tx, n.position, n.data,
        (n.data -> 'amounts' ->> 'captured')::bigint AS captured_minor,
        (n.data -> 'amounts' ->> 'authorized')::bigint AS authorized_minor,
        lag((n.data -> 'amounts' ->> 'captured')::bigint) OVER payment_order AS captured_before_minor,
        lag((n.data -> 'amounts' ->> 'authorized')::bigint) OVER payment_order AS authorized_before_minor,
        lag(ARRAY[n.tx, n.position]) OVER payment_order AS place_before
    FROM outbox_events AS n
    WINDOW payment_order AS (PARTITION BY n.payment_id, n.merchant_id ORDER BY n.tx, n.position, n.id)
) AS e
LEFT JOIN payments AS p ON p.id = e.payment_id AND p.merchant_id = e.merchant_id
WHERE e.captured_minor < e.captured_before_minor OR e.authorized_minor < e.authorized_before_minor
    OR ARRAY[e.tx, e.position] = e.place_before
    OR (p.id IS NOT NULL AND e.data ->> 'payment_id' IS DISTINCT FROM {_SHOWN_PAYMENT})
"""


def _stranger(table: str, prefix: str, key: str, owner: str, owner_key: str, what: str) -> str:
    """Rows of `table` whose owner is not there under the same merchant, or whose id is outside its family."""
    return f"""
    SELECT '{prefix}_' || {_HEX.format("c.id")},
        CASE WHEN o.id IS NULL THEN '{table}: its merchant has no such {what}'
            ELSE '{table}: not in the family of its {what}' END
    FROM {table} AS c LEFT JOIN {owner} AS o ON o.id = c.{key} AND o.merchant_id = c.{owner_key}
    WHERE c.{key} IS NOT NULL AND (
        o.id IS NULL OR substring(uuid_send(c.id) FROM 1 FOR 6) <> substring(uuid_send(o.id) FROM 1 FOR 6)
    )
    """


# What a PSP is asked for: an attempt, an action about a dispute, or how a dispute stands.
_ASKED_FOR = """(
    SELECT id, merchant_id FROM payment_attempts UNION ALL SELECT id, merchant_id FROM dispute_actions
    UNION ALL SELECT id, merchant_id FROM disputes
)"""

STRANGERS = " UNION ALL ".join(
    (
        _stranger("refunds", ids.REFUND, "payment_id", "payments", "merchant_id", "payment"),
        _stranger("payment_attempts", ids.ATTEMPT, "payment_id", "payments", "merchant_id", "payment"),
        _stranger("payment_attempts", ids.ATTEMPT, "refund_id", "refunds", "merchant_id", "refund"),
        _stranger("ledger_journals", ids.JOURNAL, "payment_id", "payments", "merchant_id", "payment"),
        _stranger("outbox_events", ids.EVENT, "payment_id", "payments", "merchant_id", "payment"),
        _stranger("psp_requests", ids.REQUEST, "attempt_id", _ASKED_FOR, "merchant_id", "attempt"),
        _stranger("disputes", ids.DISPUTE, "payment_id", "payments", "merchant_id", "payment"),
        _stranger("dispute_actions", ids.DISPUTE_ACTION, "dispute_id", "disputes", "merchant_id", "dispute"),
        _stranger("dispute_evidence", ids.DISPUTE_EVIDENCE, "dispute_id", "disputes", "merchant_id", "dispute"),
        _stranger("breaks", "brk", "payment_id", "payments", "merchant_id", "payment"),
        _stranger("breaks", "brk", "attempt_id", "payment_attempts", "merchant_id", "attempt"),
    )
)

WITHOUT_MERCHANT = " UNION ALL ".join(
    f"""
    SELECT '{ids.MERCHANT}_' || {_HEX.format("c.merchant_id")}, format('{table}: %s rows of no merchant', count(*))
    FROM {table} AS c LEFT JOIN merchants AS m ON m.id = c.merchant_id
    WHERE c.merchant_id IS NOT NULL AND m.id IS NULL GROUP BY c.merchant_id
    """
    for table in (
        *("api_keys", "payments", "refunds", "payment_attempts", "breaks", "psp_requests", "audit_log"),
        *("ledger_journals", "ledger_entries", "ledger_balances", "idempotency_keys", "outbox_events"),
        *("webhook_endpoints", "webhook_deliveries", "webhook_tries"),
        *("disputes", "dispute_rounds", "dispute_actions", "dispute_evidence", "break_comments"),
    )
)

# (table, prefix, columns): the texts of every row, read as a stream. Names that PSPs and banks give their rows are
# not among them: one in ten numbers of sixteen digits looks like a card's.
TEXTS = (
    ("merchants", ids.MERCHANT, ("name",)),
    ("refunds", ids.REFUND, ("reason", "psp_reference", "failure")),
    ("payment_attempts", ids.ATTEMPT, ("payment_method", "psp_reference", "failure", "detail")),
    ("psp_requests", ids.REQUEST, ("path", "request", "response", "error")),
    ("outbox_events", ids.EVENT, ("data",)),
    ("breaks", "brk", ("detail", "owner")),
    ("break_comments", "brc", ("author", "body")),
    ("audit_log", "aud", ("actor", "subject", "reason", "detail")),
    ("webhook_endpoints", ids.WEBHOOK_ENDPOINT, ("url", "description")),
    ("webhook_tries", ids.WEBHOOK_TRY, ("error",)),
    ("disputes", ids.DISPUTE, ("psp_reference", "reason")),
    ("dispute_actions", ids.DISPUTE_ACTION, ("failure", "detail")),
    ("dispute_evidence", ids.DISPUTE_EVIDENCE, ("words", "file_name")),
    ("report_files", ids.REPORT_FILE, ("name", "refusal", "summary", "uploaded_by")),
    ("quarantined_lines", ids.REPORT_FILE, ("reason", "field", "content")),
    ("psp_lines", ids.PSP_LINE, ("description",)),
    ("bank_lines", ids.BANK_LINE, ("content", "counterparty")),
)
_ROW_ID = {"quarantined_lines": "file_id"}


def texts_of(table: str, columns: tuple[str, ...]) -> str:
    """The statement that reads (id, texts...) of a table in `TEXTS`."""
    texts = ", ".join(f"{column}::text" for column in columns)
    return f"SELECT {_ROW_ID.get(table, 'id')}, {texts} FROM {table} WHERE coalesce({texts}) IS NOT NULL"
