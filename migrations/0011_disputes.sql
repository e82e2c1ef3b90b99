-- Disputes: what a customer's bank takes back while it looks into a payment, how often, and what is brought against it.

-- Who bears a dispute that is lost, and the PSP's fee for it. What is posted is decided when it happens.
ALTER TABLE merchants ADD COLUMN dispute_loss_policy text NOT NULL DEFAULT 'merchant' CHECK (
    dispute_loss_policy IN ('merchant', 'platform')
);
ALTER TABLE merchants ADD COLUMN dispute_fee_policy text NOT NULL DEFAULT 'platform' CHECK (
    dispute_fee_policy IN ('merchant', 'platform')
);

-- One row per dispute at a PSP. It changes only under the lock of its payment.
CREATE TABLE disputes (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    psp text NOT NULL,
    psp_account_id uuid,
    psp_reference text NOT NULL CHECK (length(psp_reference) BETWEEN 1 AND 255),
    stage text NOT NULL CHECK (stage IN ('inquiry', 'chargeback', 'second')),
    -- unconfirmed: told by a PSP that signs too little, and not asked yet
    status text NOT NULL CHECK (
        status IN (
            'unconfirmed', 'inquiry', 'needs_response', 'under_review', 'won', 'lost', 'accepted', 'expired', 'closed'
        )
    ),
    -- how often money was taken until now; an inquiry takes none
    round smallint NOT NULL CHECK (round BETWEEN 0 AND 100),
    amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 999999999999),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    reason text CHECK (length(reason) <= 200),
    evidence_due_at timestamptz,
    -- of the reminders of this round, the one nearest to the end that was told: days before it
    reminded_days smallint,
    -- what was told that contradicts what stands, while the PSP is asked
    doubt text CHECK (doubt IN ('won', 'lost')),
    -- when the PSP is asked next; who asks puts it off first, so that nobody else does
    next_check_at timestamptz,
    checks integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (id, merchant_id),
    FOREIGN KEY (payment_id, merchant_id) REFERENCES payments (id, merchant_id),
    CONSTRAINT disputes_of_payment UNIQUE (id, merchant_id, payment_id),
    CONSTRAINT disputes_once UNIQUE NULLS NOT DISTINCT (psp, psp_account_id, psp_reference),
    CONSTRAINT disputes_stage_agrees CHECK (
        CASE stage
            WHEN 'inquiry' THEN round = 0 AND status IN ('unconfirmed', 'inquiry', 'under_review', 'closed')
            WHEN 'chargeback' THEN round <= 1 AND status NOT IN ('inquiry', 'closed')
            ELSE round <> 1 AND status NOT IN ('inquiry', 'closed')
        END
        AND (stage = 'inquiry' OR (round = 0) = (status = 'unconfirmed'))
    )
);

CREATE INDEX disputes_of_merchant ON disputes (merchant_id, id);
CREATE INDEX disputes_payment ON disputes (payment_id, merchant_id);
CREATE INDEX disputes_by_check ON disputes (next_check_at) WHERE next_check_at IS NOT null;
CREATE INDEX disputes_by_deadline ON disputes (evidence_due_at) WHERE status IN ('inquiry', 'needs_response');

CREATE TRIGGER disputes_identity BEFORE UPDATE ON disputes FOR EACH ROW
WHEN (
    old.id <> new.id OR old.merchant_id <> new.merchant_id OR old.payment_id <> new.payment_id OR old.psp <> new.psp
    OR old.psp_account_id IS DISTINCT FROM new.psp_account_id OR old.psp_reference <> new.psp_reference
    OR old.round > new.round OR old.created_at <> new.created_at
)
EXECUTE FUNCTION refuse_change_of_identity();
CREATE TRIGGER disputes_never_deleted BEFORE DELETE OR TRUNCATE ON disputes
FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();

-- Each time that money was taken: how much, what of it counts on the payment, how it ended. The journals follow it.
CREATE TABLE dispute_rounds (
    dispute_id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    round smallint NOT NULL CHECK (round BETWEEN 1 AND 100),
    amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 999999999999),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- in the payment's currency: part of payments.disputed_minor while the round is open or lost
    held_minor bigint NOT NULL CHECK (held_minor >= 0),
    outcome text NOT NULL CHECK (outcome IN ('open', 'won', 'lost')),
    -- of a round that was lost, what the platform bore
    absorbed_minor bigint NOT NULL DEFAULT 0,
    -- was lost once, and won all the same
    overturned boolean NOT NULL DEFAULT false,
    fee_minor bigint CHECK (fee_minor >= 0),
    fee_currency text CHECK (fee_currency ~ '^[A-Z]{3}$'),
    fee_charged_minor bigint NOT NULL DEFAULT 0,
    opened_at timestamptz NOT NULL,
    decided_at timestamptz,
    PRIMARY KEY (dispute_id, merchant_id, round),
    FOREIGN KEY (dispute_id, merchant_id, payment_id) REFERENCES disputes (id, merchant_id, payment_id),
    CONSTRAINT dispute_rounds_decided CHECK ((outcome = 'open') = (decided_at IS null)),
    CONSTRAINT dispute_rounds_absorbed CHECK (
        absorbed_minor BETWEEN 0 AND amount_minor AND (absorbed_minor = 0 OR outcome = 'lost' OR overturned)
    ),
    CONSTRAINT dispute_rounds_overturned CHECK (NOT overturned OR outcome = 'won'),
    CONSTRAINT dispute_rounds_fee CHECK (
        (fee_minor IS null) = (fee_currency IS null) AND fee_charged_minor BETWEEN 0 AND coalesce(fee_minor, 0)
    )
);

CREATE INDEX dispute_rounds_of_payment ON dispute_rounds (payment_id, merchant_id);
-- Before the next round begins the one before is decided.
CREATE UNIQUE INDEX dispute_rounds_one_open ON dispute_rounds (dispute_id, merchant_id) WHERE outcome = 'open';

CREATE FUNCTION refuse_change_of_round() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'dispute %, round %: what was taken never changes, and what was won stays so', OLD.dispute_id,
        OLD.round USING ERRCODE = 'check_violation', CONSTRAINT = 'dispute_rounds_identity';
END
$$;

CREATE TRIGGER dispute_rounds_identity BEFORE UPDATE ON dispute_rounds FOR EACH ROW
WHEN (
    old.dispute_id <> new.dispute_id OR old.merchant_id <> new.merchant_id OR old.payment_id <> new.payment_id
    OR old.round <> new.round OR old.amount_minor <> new.amount_minor OR old.currency <> new.currency
    OR old.held_minor <> new.held_minor OR (old.outcome = 'won' AND new.outcome <> 'won')
)
EXECUTE FUNCTION refuse_change_of_round();
CREATE TRIGGER dispute_rounds_never_deleted BEFORE DELETE OR TRUNCATE ON dispute_rounds
FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();

-- What the payment says is disputed are the rounds beneath it. Checked at commit, whoever writes.
CREATE FUNCTION check_disputes_of_payment() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of_payment uuid := CASE TG_TABLE_NAME
        WHEN 'dispute_rounds' THEN (to_jsonb(NEW) ->> 'payment_id')::uuid ELSE (to_jsonb(NEW) ->> 'id')::uuid END;
    payment record;
    total record;
BEGIN
    SELECT p.disputed_minor, p.disputed_open_minor INTO STRICT payment
    FROM payments AS p WHERE p.id = of_payment AND p.merchant_id = NEW.merchant_id;
    SELECT
        coalesce(sum(r.held_minor) FILTER (WHERE r.outcome <> 'won'), 0) AS disputed_minor,
        coalesce(sum(r.held_minor) FILTER (WHERE r.outcome = 'open'), 0) AS open_minor
    INTO STRICT total
    FROM dispute_rounds AS r WHERE r.payment_id = of_payment AND r.merchant_id = NEW.merchant_id;
    IF total.disputed_minor <> payment.disputed_minor OR total.open_minor <> payment.disputed_open_minor THEN
        RAISE EXCEPTION 'payment %: disputes of %, % of it open, but the payment says % and %', of_payment,
            total.disputed_minor, total.open_minor, payment.disputed_minor, payment.disputed_open_minor
            USING ERRCODE = 'check_violation', CONSTRAINT = 'disputes_agree_with_payment';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER disputes_agree_with_payment AFTER INSERT OR UPDATE ON dispute_rounds
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_disputes_of_payment();
CREATE CONSTRAINT TRIGGER payments_agree_with_disputes AFTER UPDATE ON payments
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN (old.disputed_minor <> new.disputed_minor OR old.disputed_open_minor <> new.disputed_open_minor)
EXECUTE FUNCTION check_disputes_of_payment();

-- What we do at the PSP about a dispute, committed before the PSP hears of it; its id is the idempotency key.
CREATE TABLE dispute_actions (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    dispute_id uuid NOT NULL,
    round smallint NOT NULL,
    action text NOT NULL CHECK (action IN ('submit', 'accept')),
    status text NOT NULL CHECK (status IN ('sending', 'unknown', 'approved', 'declined')),
    failure jsonb,
    detail text,
    -- until then only the process that accepted it or took it up may call the PSP for it
    lease_until timestamptz NOT NULL,
    next_check_at timestamptz,
    checks integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (id, merchant_id),
    FOREIGN KEY (dispute_id, merchant_id, payment_id) REFERENCES disputes (id, merchant_id, payment_id),
    CONSTRAINT dispute_actions_resolved CHECK ((status = 'declined') = (failure IS NOT null)),
    CONSTRAINT dispute_actions_checked CHECK ((status IN ('sending', 'unknown')) = (next_check_at IS NOT null))
);

-- In each round evidence is handed in once, or the dispute is accepted once; what was refused may be tried again.
CREATE UNIQUE INDEX dispute_actions_once ON dispute_actions (dispute_id, merchant_id, round) WHERE status <> 'declined';
CREATE INDEX dispute_actions_due ON dispute_actions (next_check_at) WHERE next_check_at IS NOT null;

CREATE TRIGGER dispute_actions_identity BEFORE UPDATE ON dispute_actions FOR EACH ROW
WHEN (
    old.id <> new.id OR old.merchant_id <> new.merchant_id OR old.payment_id <> new.payment_id
    OR old.dispute_id <> new.dispute_id OR old.round <> new.round OR old.action <> new.action
)
EXECUTE FUNCTION refuse_change_of_identity();
CREATE TRIGGER dispute_actions_first_outcome_stands BEFORE UPDATE ON dispute_actions FOR EACH ROW
WHEN (old.status IN ('approved', 'declined') AND old.* IS DISTINCT FROM new.*)
EXECUTE FUNCTION refuse_second_outcome();
CREATE TRIGGER dispute_actions_never_deleted BEFORE DELETE OR TRUNCATE ON dispute_actions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();

-- What a merchant brings against a dispute: one text or one document per field. It is handed to the PSP as it is, and
-- never shown to anybody else or run. What was handed in stays as it was.
CREATE TABLE dispute_evidence (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    dispute_id uuid NOT NULL,
    round smallint NOT NULL,
    field text NOT NULL CHECK (field ~ '^[a-z_]{1,60}$'),
    words text CHECK (length(words) BETWEEN 1 AND 20000),
    file_name text CHECK (length(file_name) BETWEEN 1 AND 100),
    content_type text CHECK (content_type IN ('application/pdf', 'image/png', 'image/jpeg')),
    content bytea CHECK (octet_length(content) BETWEEN 1 AND 4500000),
    sha256 bytea CHECK (octet_length(sha256) = 32),
    submitted_by uuid,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (id, merchant_id),
    FOREIGN KEY (dispute_id, merchant_id, payment_id) REFERENCES disputes (id, merchant_id, payment_id),
    CONSTRAINT dispute_evidence_words_or_file CHECK (
        (words IS null) = (content IS NOT null)
        AND (content IS null) = (file_name IS null) AND (content IS null) = (content_type IS null)
        AND (content IS null) = (sha256 IS null)
    )
);

CREATE UNIQUE INDEX dispute_evidence_of_field ON dispute_evidence (dispute_id, merchant_id, round, field);

CREATE FUNCTION refuse_change_of_evidence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'evidence % was handed in and stays as it was', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'dispute_evidence_stays';
END
$$;

CREATE TRIGGER dispute_evidence_stays BEFORE UPDATE OR DELETE ON dispute_evidence FOR EACH ROW
WHEN (old.submitted_by IS NOT null)
EXECUTE FUNCTION refuse_change_of_evidence();

-- Keys that could do everything still can.
UPDATE api_keys SET scopes = scopes || '{disputes:read,disputes:write}'
WHERE kind = 'secret' AND scopes @> '{payments:write,payments:read,ledger:read,events:read,operations:write}';
