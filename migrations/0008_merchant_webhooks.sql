-- Webhooks to merchants: where they want them, what is to be delivered, and every try.

CREATE TABLE webhook_endpoints (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL REFERENCES merchants (id),
    url text NOT NULL CHECK (length(url) BETWEEN 8 AND 2048),
    description text CHECK (length(description) <= 500),
    -- empty: every type; `payment.*` takes all types of that kind
    event_types text[] NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'enabled' CHECK (status IN ('enabled', 'disabled', 'deleted')),
    disabled_reason text CHECK (disabled_reason IN ('failing', 'requested', 'gone')),
    -- the signing secrets, newest first, encrypted; an older one signs too until it ends
    key_id text NOT NULL CHECK (length(key_id) BETWEEN 8 AND 64),
    sealed bytea NOT NULL,
    -- since when no delivery has succeeded; null while they do
    failing_since timestamptz,
    -- what is still to be done with the deliveries that waited at `backlog_until`: send them soon, or none of them
    backlog text CHECK (backlog IN ('hurry', 'cancel')),
    backlog_until timestamptz,
    -- the request that made it, where that had an Idempotency-Key
    claim_id uuid,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (id, merchant_id),
    CONSTRAINT webhook_endpoints_disabled CHECK ((status = 'disabled') = (disabled_reason IS NOT null)),
    CONSTRAINT webhook_endpoints_backlog CHECK ((backlog IS null) = (backlog_until IS null))
);

CREATE INDEX webhook_endpoints_of_merchant ON webhook_endpoints (merchant_id, id);
CREATE INDEX webhook_endpoints_with_backlog ON webhook_endpoints (id) WHERE backlog IS NOT null;

-- Deliveries refer to it for as long as they are kept, and a merchant's endpoint never becomes another's.
CREATE TRIGGER webhook_endpoints_identity BEFORE UPDATE ON webhook_endpoints FOR EACH ROW
WHEN (old.id <> new.id OR old.merchant_id <> new.merchant_id OR (old.status = 'deleted' AND new.status <> 'deleted'))
EXECUTE FUNCTION refuse_change_of_identity();

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
    -- those of the schedule, not the ones that were asked for or hurried
    tries integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    -- the next try was asked for by a person: it is made even at a disabled endpoint
    manual boolean NOT NULL DEFAULT false,
    -- null while it waits behind another, or is settled; while a try is made, when its lease ends
    next_try_at timestamptz,
    -- when the schedule wants the next try, where that has been brought forward
    scheduled_at timestamptz,
    lease_until timestamptz,
    created_at timestamptz NOT NULL,
    settled_at timestamptz,
    PRIMARY KEY (id, merchant_id),
    FOREIGN KEY (endpoint_id, merchant_id) REFERENCES webhook_endpoints (id, merchant_id),
    FOREIGN KEY (event_id, merchant_id) REFERENCES outbox_events (id, merchant_id),
    CONSTRAINT webhook_deliveries_settled CHECK ((status = 'pending') = (settled_at IS null)),
    CONSTRAINT webhook_deliveries_due CHECK (status = 'pending' OR (next_try_at IS null AND lease_until IS null)),
    CONSTRAINT webhook_deliveries_leased CHECK (lease_until IS null OR next_try_at IS NOT null)
) WITH (fillfactor = 70);

CREATE INDEX webhook_deliveries_by_due ON webhook_deliveries (endpoint_id, next_try_at) WHERE next_try_at IS NOT null;
CREATE INDEX webhook_deliveries_in_flight ON webhook_deliveries (endpoint_id, lease_until)
WHERE lease_until IS NOT null;
CREATE INDEX webhook_deliveries_asked_for ON webhook_deliveries (next_try_at, endpoint_id)
WHERE manual AND next_try_at IS NOT null;
CREATE INDEX webhook_deliveries_in_order ON webhook_deliveries (endpoint_id, ordering_id, tx, position, id)
WHERE status = 'pending';
CREATE INDEX webhook_deliveries_of_endpoint ON webhook_deliveries (endpoint_id, created_at, id);
CREATE INDEX webhook_deliveries_not_taken ON webhook_deliveries (endpoint_id, created_at, id)
WHERE status IN ('failed', 'canceled');
CREATE INDEX webhook_deliveries_of_event ON webhook_deliveries (event_id);

CREATE TRIGGER webhook_deliveries_identity BEFORE UPDATE ON webhook_deliveries FOR EACH ROW
WHEN (
    old.id <> new.id OR old.merchant_id <> new.merchant_id OR old.endpoint_id <> new.endpoint_id
    OR old.event_id <> new.event_id
)
EXECUTE FUNCTION refuse_change_of_identity();

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
    FOREIGN KEY (delivery_id, merchant_id) REFERENCES webhook_deliveries (id, merchant_id),
    CONSTRAINT webhook_tries_outcome CHECK ((status IS null) <> (error IS null))
);

CREATE INDEX webhook_tries_of_delivery ON webhook_tries (delivery_id, id);

-- Keys that could do everything still can.
UPDATE api_keys SET scopes = scopes || '{webhooks:read,webhooks:write}'
WHERE kind = 'secret' AND scopes @> '{payments:write,payments:read,ledger:read,events:read,operations:write}';
