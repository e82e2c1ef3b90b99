-- What PSPs tell us, as they signed it.

CREATE TABLE inbox_events (
    -- time bits of the event's own time, then a hash of PSP, account and event id: the primary key keeps it once
    id uuid PRIMARY KEY,
    psp text NOT NULL,
    psp_account_id uuid REFERENCES psp_accounts (id),
    event_id text NOT NULL CHECK (length(event_id) BETWEEN 1 AND 255),
    type text NOT NULL CHECK (length(type) BETWEEN 1 AND 100),
    body bytea NOT NULL,
    -- received: not looked at yet. waiting: could not be applied, tried again at `next_try_at`. aside: given up, a
    -- person may retry it. applied: its effect is in the books, or it had none. unknown: of a type that nobody reads
    status text NOT NULL CHECK (status IN ('received', 'waiting', 'aside', 'applied', 'unknown')),
    tries integer NOT NULL DEFAULT 0,
    next_try_at timestamptz,
    reason text CHECK (length(reason) <= 500),
    merchant_id uuid,
    payment_id uuid,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    settled_at timestamptz,
    FOREIGN KEY (payment_id, merchant_id) REFERENCES payments (id, merchant_id),
    CONSTRAINT inbox_events_due CHECK ((status IN ('received', 'waiting')) = (next_try_at IS NOT null)),
    CONSTRAINT inbox_events_reason CHECK (status NOT IN ('waiting', 'aside') OR reason IS NOT null),
    CONSTRAINT inbox_events_settled CHECK ((status IN ('applied', 'unknown', 'aside')) = (settled_at IS NOT null))
) WITH (fillfactor = 70);

CREATE INDEX inbox_events_by_due ON inbox_events (next_try_at, id) WHERE next_try_at IS NOT null;
CREATE INDEX inbox_events_aside ON inbox_events (received_at) WHERE status = 'aside';
CREATE INDEX inbox_events_of_payment ON inbox_events (payment_id, merchant_id) WHERE payment_id IS NOT null;

CREATE INDEX inbox_events_of_merchant ON inbox_events (merchant_id, id) WHERE merchant_id IS NOT null;

CREATE TRIGGER inbox_events_identity BEFORE UPDATE ON inbox_events FOR EACH ROW
WHEN (
    old.id <> new.id OR old.psp <> new.psp OR old.event_id <> new.event_id OR old.type <> new.type
    OR old.psp_account_id IS DISTINCT FROM new.psp_account_id OR old.body <> new.body
)
EXECUTE FUNCTION refuse_change_of_identity();

-- Keys that could do everything still can.
UPDATE api_keys SET scopes = scopes || '{inbox:read,inbox:write}'
WHERE kind = 'secret' AND scopes @> '{payments:write,payments:read,ledger:read,events:read,operations:write}';

ALTER TABLE payment_attempts ADD COLUMN told_by uuid;
COMMENT ON COLUMN payment_attempts.told_by IS
'the event in the inbox that decided it, kept there for a while; null where an answer or a person did';
