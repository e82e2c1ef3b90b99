-- One key, one effect, one reply; and what we tell the world.

CREATE TABLE idempotency_keys (
    -- digest of merchant, operation with path, and key: the primary key refuses a second claim
    id uuid NOT NULL,
    merchant_id uuid NOT NULL REFERENCES merchants (id),
    operation text NOT NULL,
    idempotency_key text NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 128),
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    -- in_flight: an attempt is being made. stored: the reply below is the reply. current: show the resource as it is
    mode text NOT NULL CHECK (mode IN ('in_flight', 'stored', 'current')),
    -- drawn by the process that claimed: finding its own claim after a lost COMMIT, it goes on
    claim_id uuid NOT NULL,
    payment_id uuid,
    attempt_id uuid,
    reply_status smallint,
    reply_body bytea,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (id, merchant_id),
    CONSTRAINT idempotency_keys_stored CHECK ((mode = 'stored') = (reply_status IS NOT NULL AND reply_body IS NOT NULL))
) WITH (fillfactor = 50);

CREATE INDEX idempotency_keys_age ON idempotency_keys USING brin (created_at);

CREATE TABLE outbox_events (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    payment_id uuid,
    type text NOT NULL,
    -- commit-safe order: read only where tx is below the snapshot's xmin
    tx bigint NOT NULL,
    position integer NOT NULL,
    data json NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (id, merchant_id)
);

CREATE INDEX outbox_events_in_order ON outbox_events (merchant_id, tx, position, id);
