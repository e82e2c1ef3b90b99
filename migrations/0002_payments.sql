-- Payments, their refunds, and every attempt to do something at a PSP.
--
-- Rows of one merchant have the primary key (id, merchant_id) and refer to each other by both, so no row can point at
-- another merchant's. Ids are UUIDv7; children carry the time bits of their payment.

CREATE TABLE payments (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL REFERENCES merchants (id),
    order_id text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 999999999999),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    status text NOT NULL,
    capture_strategy text NOT NULL CHECK (capture_strategy IN ('automatic', 'manual')),
    payment_method text,
    psp text NOT NULL,
    gateway_ref text,
    idempotency_key text NOT NULL,
    metadata jsonb NOT NULL,
    -- what the client said that only the PSP needs: customer, description, statement_descriptor, return_url
    details jsonb NOT NULL,
    -- what happened
    authorized_minor bigint NOT NULL DEFAULT 0,
    captured_minor bigint NOT NULL DEFAULT 0,
    refunded_minor bigint NOT NULL DEFAULT 0,
    disputed_minor bigint NOT NULL DEFAULT 0,
    released_minor bigint NOT NULL DEFAULT 0,
    -- what is reserved by attempts of ours in flight
    capturing_minor bigint NOT NULL DEFAULT 0,
    refunding_minor bigint NOT NULL DEFAULT 0,
    -- what a PSP or an issuer did beyond what we may initiate; each such fact is also a row in breaks
    excess_captured_minor bigint NOT NULL DEFAULT 0,
    excess_refunded_minor bigint NOT NULL DEFAULT 0,
    -- the platform's fee: the terms when the payment was made, and what was taken so far
    fee_basis_points integer NOT NULL,
    fee_fixed_minor bigint NOT NULL,
    platform_fee_minor bigint NOT NULL DEFAULT 0,
    tries smallint NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND 5),
    failure jsonb,
    next_action jsonb,
    failed_at timestamptz,
    canceled_at timestamptz,
    -- when the authorization reaches its age, or the customer's action is overdue
    deadline_at timestamptz,
    -- the order of this payment's last event: keeps its events in order when two transactions overlap
    event_tx bigint NOT NULL,
    event_position integer NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (id, merchant_id),

    CONSTRAINT payments_amounts_are_not_negative CHECK (
        least(
            authorized_minor, captured_minor, refunded_minor, disputed_minor, released_minor, capturing_minor,
            refunding_minor, excess_captured_minor, excess_refunded_minor, platform_fee_minor
        ) >= 0
    ),
    CONSTRAINT payments_authorized_within_amount CHECK (authorized_minor <= amount_minor),
    CONSTRAINT payments_captured_within_authorized CHECK (
        captured_minor - excess_captured_minor + capturing_minor + released_minor <= authorized_minor
    ),
    CONSTRAINT payments_refunded_within_captured CHECK (
        refunded_minor - excess_refunded_minor + refunding_minor + disputed_minor <= captured_minor
    ),
    CONSTRAINT payments_fee_within_captured CHECK (platform_fee_minor <= captured_minor),
    CONSTRAINT payments_status_agrees_with_amounts CHECK (
        CASE status
            WHEN 'pending' THEN authorized_minor = 0 AND captured_minor = 0
            WHEN 'authorized' THEN captured_minor = 0 AND authorized_minor > released_minor
            WHEN 'failed' THEN captured_minor = 0 AND authorized_minor = 0
            WHEN 'canceled' THEN captured_minor = 0 AND authorized_minor = released_minor
            WHEN 'captured' THEN captured_minor > refunded_minor
            WHEN 'settled' THEN captured_minor > refunded_minor
            WHEN 'refunding' THEN refunding_minor > 0
            WHEN 'refunded' THEN captured_minor > 0 AND refunded_minor >= captured_minor
            WHEN 'chargeback_open' THEN disputed_minor > 0
            WHEN 'chargeback_lost' THEN disputed_minor > 0
            ELSE false
        END
    )
) WITH (fillfactor = 60);

CREATE INDEX payments_of_merchant ON payments (merchant_id, id);
CREATE INDEX payments_of_order ON payments (order_id, merchant_id);
CREATE INDEX payments_overdue ON payments (deadline_at) WHERE deadline_at IS NOT null;

COMMENT ON COLUMN payments.gateway_ref IS 'the PSP''s own name of the payment (psp_reference in the API)';

CREATE FUNCTION refuse_illegal_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'payment % cannot go from % to %', OLD.id, OLD.status, NEW.status
        USING ERRCODE = 'check_violation', CONSTRAINT = 'payments_legal_status';
END
$$;

-- The WHEN clause is the transition table; the function runs only on a violation. From failed and canceled there is a
-- way back, because evidence that money moved wins over our belief that it did not.
CREATE TRIGGER payments_legal_status BEFORE UPDATE ON payments FOR EACH ROW
WHEN (
    old.status <> new.status AND NOT CASE old.status
        WHEN 'pending' THEN new.status IN ('authorized', 'captured', 'refunding', 'failed', 'canceled')
        WHEN 'authorized' THEN new.status IN ('captured', 'canceled')
        WHEN 'captured' THEN new.status IN ('settled', 'refunding', 'refunded', 'chargeback_open', 'chargeback_lost')
        WHEN 'settled' THEN new.status IN ('captured', 'refunding', 'refunded', 'chargeback_open', 'chargeback_lost')
        WHEN 'refunding' THEN new.status IN ('captured', 'settled', 'refunded', 'chargeback_open', 'chargeback_lost')
        WHEN 'refunded' THEN new.status IN ('captured', 'settled', 'refunding', 'chargeback_open', 'chargeback_lost')
        WHEN 'chargeback_open' THEN new.status IN ('chargeback_lost', 'captured', 'settled', 'refunding', 'refunded')
        WHEN 'chargeback_lost' THEN new.status IN ('chargeback_open', 'captured', 'settled', 'refunding', 'refunded')
        WHEN 'failed' THEN new.status IN ('authorized', 'captured', 'refunding')
        WHEN 'canceled' THEN new.status IN ('authorized', 'captured', 'refunding')
        ELSE false
    END
)
EXECUTE FUNCTION refuse_illegal_status();

CREATE FUNCTION refuse_birth() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% %: nothing has happened to it yet', TG_TABLE_NAME, NEW.id
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_TABLE_NAME || '_begin_at_the_beginning';
END
$$;

-- What happens to a payment, a refund or an attempt is an update of its row: none is born with a history.
CREATE TRIGGER payments_begin_at_the_beginning BEFORE INSERT ON payments FOR EACH ROW
WHEN (
    new.status <> 'pending' OR greatest(
        new.authorized_minor, new.captured_minor, new.refunded_minor, new.disputed_minor, new.released_minor,
        new.capturing_minor, new.refunding_minor, new.excess_captured_minor, new.excess_refunded_minor,
        new.platform_fee_minor
    ) <> 0
)
EXECUTE FUNCTION refuse_birth();

CREATE FUNCTION refuse_change_of_identity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% %: identity, amount and currency never change', TG_TABLE_NAME, OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_TABLE_NAME || '_identity';
END
$$;

CREATE TRIGGER payments_identity BEFORE UPDATE ON payments FOR EACH ROW
WHEN (
    old.id <> new.id OR old.merchant_id <> new.merchant_id OR old.amount_minor <> new.amount_minor
    OR old.currency <> new.currency OR old.created_at <> new.created_at
)
EXECUTE FUNCTION refuse_change_of_identity();

CREATE TABLE refunds (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    reason text,
    psp_reference text,
    failure jsonb,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (id, merchant_id),
    CONSTRAINT refunds_of_payment UNIQUE (payment_id, merchant_id, id),
    FOREIGN KEY (payment_id, merchant_id) REFERENCES payments (id, merchant_id)
);

-- The sums on the payment are the refunds beneath it, in its currency. Checked at commit, whoever writes.
CREATE FUNCTION check_refunds_of_payment() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of_payment uuid := CASE TG_TABLE_NAME WHEN 'refunds' THEN (to_jsonb(NEW) ->> 'payment_id')::uuid ELSE NEW.id END;
    payment record;
    total record;
BEGIN
    SELECT p.currency, p.refunding_minor, p.refunded_minor INTO STRICT payment
    FROM payments AS p WHERE p.id = of_payment AND p.merchant_id = NEW.merchant_id;
    SELECT
        coalesce(sum(r.amount_minor) FILTER (WHERE r.status = 'pending'), 0) AS pending_minor,
        coalesce(sum(r.amount_minor) FILTER (WHERE r.status = 'succeeded'), 0) AS succeeded_minor,
        coalesce(bool_or(r.currency <> payment.currency), false) AS other_currency
    INTO STRICT total
    FROM refunds AS r WHERE r.payment_id = of_payment AND r.merchant_id = NEW.merchant_id;
    IF total.other_currency THEN
        RAISE EXCEPTION 'payment %: a refund has another currency', of_payment
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_currency';
    END IF;
    IF total.pending_minor <> payment.refunding_minor OR total.succeeded_minor <> payment.refunded_minor THEN
        RAISE EXCEPTION 'payment %: refunds of % pending and % succeeded, but the payment says % and %', of_payment,
            total.pending_minor, total.succeeded_minor, payment.refunding_minor, payment.refunded_minor
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_agree_with_payment';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER refunds_agree_with_payment AFTER INSERT OR UPDATE ON refunds
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_refunds_of_payment();

CREATE CONSTRAINT TRIGGER payments_agree_with_refunds AFTER UPDATE ON payments
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN (old.refunded_minor <> new.refunded_minor OR old.refunding_minor <> new.refunding_minor)
EXECUTE FUNCTION check_refunds_of_payment();

CREATE TRIGGER refunds_identity BEFORE UPDATE ON refunds FOR EACH ROW
WHEN (
    old.id <> new.id OR old.merchant_id <> new.merchant_id OR old.payment_id <> new.payment_id
    OR old.amount_minor <> new.amount_minor OR old.currency <> new.currency
)
EXECUTE FUNCTION refuse_change_of_identity();

CREATE TRIGGER refunds_begin_at_the_beginning BEFORE INSERT ON refunds FOR EACH ROW
WHEN (new.status <> 'pending')
EXECUTE FUNCTION refuse_birth();

CREATE FUNCTION refuse_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation', CONSTRAINT = 'never_deleted';
END
$$;

CREATE TRIGGER payments_never_deleted BEFORE DELETE OR TRUNCATE ON payments
FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER refunds_never_deleted BEFORE DELETE OR TRUNCATE ON refunds
FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();

-- One try to do something at a PSP. Committed before the PSP hears of it; its id is the PSP's idempotency key.
CREATE TABLE payment_attempts (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    refund_id uuid,
    operation text NOT NULL CHECK (operation IN ('authorize', 'capture', 'cancel', 'refund')),
    -- why we try: a client's command, an overdue authorization or action, undoing what must not stand
    origin text NOT NULL CHECK (origin IN ('client', 'overdue', 'undo')),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL,
    payment_method text NOT NULL,
    -- authorize: take the money at once. capture: release the rest
    captures boolean NOT NULL,
    final boolean NOT NULL,
    -- a customer tries in the browser: a decline leaves the payment open for another try
    keeps_open boolean NOT NULL,
    psp text NOT NULL,
    psp_reference text,
    status text NOT NULL CHECK (
        status IN ('sending', 'pending', 'unknown', 'superseded', 'approved', 'declined')
    ),
    captured_minor bigint NOT NULL DEFAULT 0 CHECK (captured_minor >= 0),
    moved_minor bigint CHECK (moved_minor >= 0),
    failure jsonb,
    detail text,
    -- until then only the process that accepted or took it up may call the PSP for it
    lease_until timestamptz NOT NULL,
    -- after this the PSP may be asked about it, but nobody may send it again
    execute_until timestamptz NOT NULL,
    next_check_at timestamptz,
    checks integer NOT NULL DEFAULT 0,
    stuck_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (id, merchant_id),
    FOREIGN KEY (payment_id, merchant_id) REFERENCES payments (id, merchant_id),
    FOREIGN KEY (payment_id, merchant_id, refund_id) REFERENCES refunds (payment_id, merchant_id, id),
    CONSTRAINT payment_attempts_refund CHECK ((operation = 'refund') = (refund_id IS NOT null)),
    CONSTRAINT payment_attempts_resolved CHECK ((status = 'declined') = (failure IS NOT null))
) WITH (fillfactor = 80);

COMMENT ON COLUMN payment_attempts.status IS
'superseded: an authorization that awaits the customer while a cancel of it is under way, whose outcome decides';
COMMENT ON COLUMN payment_attempts.moved_minor IS
'what this attempt moved, once approved: authorized, captured, released or refunded';
COMMENT ON COLUMN payment_attempts.psp_reference IS
'the PSP''s name of this operation; for an authorization, of the payment';

-- One unresolved authorize, capture or cancel per payment; refunds may run side by side, each by one attempt.
CREATE UNIQUE INDEX payment_attempts_one_unresolved ON payment_attempts (
    payment_id, merchant_id, refund_id
) NULLS NOT DISTINCT WHERE status IN ('sending', 'pending', 'unknown');
CREATE INDEX payment_attempts_due ON payment_attempts (next_check_at) WHERE status IN ('pending', 'unknown');
CREATE INDEX payment_attempts_by_psp_reference ON payment_attempts (psp_reference) WHERE psp_reference IS NOT null;

CREATE TRIGGER payment_attempts_identity BEFORE UPDATE ON payment_attempts FOR EACH ROW
WHEN (
    old.id <> new.id OR old.merchant_id <> new.merchant_id OR old.payment_id <> new.payment_id
    OR old.operation <> new.operation OR old.amount_minor <> new.amount_minor OR old.currency <> new.currency
    OR old.refund_id IS DISTINCT FROM new.refund_id
)
EXECUTE FUNCTION refuse_change_of_identity();

CREATE FUNCTION refuse_second_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'attempt % is already %: the first conclusive outcome stands', OLD.id, OLD.status
        USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_attempts_first_outcome_stands';
END
$$;

-- A declined attempt may turn out approved (money moved after all); an approved one never changes.
CREATE TRIGGER payment_attempts_first_outcome_stands BEFORE UPDATE ON payment_attempts FOR EACH ROW
WHEN (
    (old.status = 'approved' AND old.* IS DISTINCT FROM new.*)
    OR (old.status = 'declined' AND new.status NOT IN ('declined', 'approved'))
)
EXECUTE FUNCTION refuse_second_outcome();
CREATE TRIGGER payment_attempts_begin_at_the_beginning BEFORE INSERT ON payment_attempts FOR EACH ROW
WHEN (new.status NOT IN ('sending', 'unknown'))
EXECUTE FUNCTION refuse_birth();
CREATE TRIGGER payment_attempts_never_deleted BEFORE DELETE OR TRUNCATE ON payment_attempts
FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();

-- A mismatch between what we believe and what was observed. Someone must look at it.
CREATE TABLE breaks (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    attempt_id uuid,
    kind text NOT NULL,
    detail text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (id, merchant_id),
    FOREIGN KEY (payment_id, merchant_id) REFERENCES payments (id, merchant_id)
);

CREATE INDEX breaks_of_merchant ON breaks (merchant_id, id);

-- What was said to a PSP and what it answered, redacted. For people; nothing is decided from it.
CREATE TABLE psp_requests (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    attempt_id uuid NOT NULL,
    psp text NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    request text NOT NULL,
    status integer,
    response text,
    error text,
    duration_ms integer NOT NULL,
    sent_at timestamptz NOT NULL,
    PRIMARY KEY (id, merchant_id)
);

-- What a person did by hand: who, what, why.
CREATE TABLE audit_log (
    id uuid NOT NULL PRIMARY KEY,
    merchant_id uuid REFERENCES merchants (id),
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL,
    detail jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();
