-- Webhooks to merchants: where they want them, what is to be delivered, and every try.

CREATE TABLE webhook_endpoints (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL REFERENCES merchants (id),
    url text NOT NULL CHECK (length(url) BETWEEN 8 AND 2048),
    description text CHECK (length(description) <= 500),
    -- empty: every type; `payment.*` takes all types of that kind
    event_types text[] NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'enabled' CHECK (status IN ('enabled', 'disabled', 'deleted')),
    disabled_reason text,
    -- the signing secrets, newest first, encrypted; an older one signs too until it ends
    key_id text NOT NULL CHECK (length(key_id) BETWEEN 8 AND 64),
    sealed bytea NOT NULL,
    -- since when no delivery has succeeded; null while they do
    failing_since timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (id, merchant_id)
);

CREATE INDEX webhook_endpoints_of_merchant ON webhook_endpoints (merchant_id, id);

-- One event for one endpoint. Those of one payment to one endpoint go in order: only the first of them is due.
CREATE TABLE webhook_deliveries (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    event_id uuid NOT NULL,
    event_type text NOT NULL,
    -- what keeps its order: the payment, or the event itself where it belongs to none
    ordering_id uuid NOT NULL,
    tx bigint NOT NULL,
    position integer NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed', 'canceled')),
    tries integer NOT NULL DEFAULT 0,
    -- null while it waits behind another, or is settled
    next_try_at timestamptz,
    lease_until timestamptz,
    created_at timestamptz NOT NULL,
    settled_at timestamptz,
    PRIMARY KEY (id, merchant_id),
    FOREIGN KEY (endpoint_id, merchant_id) REFERENCES webhook_endpoints (id, merchant_id),
    FOREIGN KEY (event_id, merchant_id) REFERENCES outbox_events (id, merchant_id),
    CONSTRAINT webhook_deliveries_settled CHECK ((status = 'pending') = (settled_at IS null)),
    CONSTRAINT webhook_deliveries_due CHECK (status = 'pending' OR next_try_at IS null)
) WITH (fillfactor = 70);

CREATE INDEX webhook_deliveries_by_due ON webhook_deliveries (next_try_at) WHERE next_try_at IS NOT null;
CREATE INDEX webhook_deliveries_in_order ON webhook_deliveries (endpoint_id, ordering_id, tx, position)
WHERE status = 'pending';
CREATE INDEX webhook_deliveries_of_endpoint ON webhook_deliveries (endpoint_id, id);
CREATE INDEX webhook_deliveries_of_event ON webhook_deliveries (event_id);

CREATE TABLE webhook_tries (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    -- null where no answer came; then `error` says why
    status integer,
    error text CHECK (length(error) <= 500),
    answer bytea CHECK (octet_length(answer) <= 1024),
    latency_ms integer NOT NULL CHECK (latency_ms >= 0),
    manual boolean NOT NULL,
    tried_at timestamptz NOT NULL,
    PRIMARY KEY (id, merchant_id),
    FOREIGN KEY (delivery_id, merchant_id) REFERENCES webhook_deliveries (id, merchant_id)
);

CREATE INDEX webhook_tries_of_delivery ON webhook_tries (delivery_id, id);
