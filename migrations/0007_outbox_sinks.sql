-- How far each sink has been told. A payment's events are in one shard; a shard has one teller at a time.

ALTER TABLE outbox_events ADD COLUMN shard smallint CHECK (shard BETWEEN 0 AND 15);
-- What was said before is told too, in the shard in which its payment goes on.
UPDATE outbox_events SET shard = get_byte(uuid_send(coalesce(payment_id, merchant_id)), 15) & 15;
ALTER TABLE outbox_events ALTER COLUMN shard SET NOT NULL;
CREATE INDEX outbox_events_by_shard ON outbox_events (shard, tx, position, id);
-- Finds history of some days ago, to be told again.
CREATE INDEX outbox_events_by_age ON outbox_events USING brin (created_at);

CREATE TABLE outbox_cursors (
    sink text NOT NULL CHECK (sink ~ '^[a-z0-9_]{1,40}$'),
    shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 15),
    -- the last event that the sink has taken
    tx bigint NOT NULL DEFAULT 0,
    position integer NOT NULL DEFAULT -1,
    event_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    delivered bigint NOT NULL DEFAULT 0,
    -- until then one relay reads this shard for this sink
    holder uuid,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    failures integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT '-infinity',
    last_error text CHECK (length(last_error) <= 500),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sink, shard)
) WITH (fillfactor = 50);

-- What was told stays told: a cursor only moves on.
CREATE FUNCTION refuse_backward_cursor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'cursor of % shard % cannot go back', OLD.sink, OLD.shard
        USING ERRCODE = 'check_violation', CONSTRAINT = 'outbox_cursors_forward';
END
$$;

CREATE TRIGGER outbox_cursors_forward BEFORE UPDATE ON outbox_cursors FOR EACH ROW
WHEN (
    (new.tx, new.position, new.event_id) < (old.tx, old.position, old.event_id)
    OR new.sink <> old.sink OR new.shard <> old.shard
)
EXECUTE FUNCTION refuse_backward_cursor();
