-- Accounts at PSPs besides those that the environment names, and payments that were made in them.

CREATE TABLE psp_accounts (
    id uuid PRIMARY KEY,
    -- stands in the address of its webhooks
    name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    psp text NOT NULL CHECK (psp ~ '^[a-z0-9_]{1,40}$'),
    merchant_id uuid NOT NULL REFERENCES merchants (id),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'closed')),
    -- credentials and webhook secrets, encrypted; `key_id` says with which master key
    key_id text NOT NULL CHECK (length(key_id) BETWEEN 8 AND 64),
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- One account of a merchant at a PSP takes new payments; closed ones still hear of what they hold.
CREATE UNIQUE INDEX psp_accounts_one_active ON psp_accounts (merchant_id, psp) WHERE status = 'active';

CREATE TRIGGER psp_accounts_identity BEFORE UPDATE ON psp_accounts FOR EACH ROW
WHEN (
    old.id <> new.id OR old.name <> new.name OR old.psp <> new.psp OR old.merchant_id <> new.merchant_id
)
EXECUTE FUNCTION refuse_change_of_identity();
CREATE TRIGGER psp_accounts_never_deleted BEFORE DELETE OR TRUNCATE ON psp_accounts
FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();

CREATE INDEX psp_accounts_by_change ON psp_accounts (updated_at);

-- What is closed stays closed: its name stands in addresses that the PSP was given.
CREATE FUNCTION refuse_reopening() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'account % is closed', OLD.name
        USING ERRCODE = 'check_violation', CONSTRAINT = 'psp_accounts_stay_closed';
END
$$;

CREATE TRIGGER psp_accounts_stay_closed BEFORE UPDATE ON psp_accounts FOR EACH ROW
WHEN (old.status = 'closed' AND new.status <> 'closed')
EXECUTE FUNCTION refuse_reopening();

-- A payment stays in the account in which it was made, one of its merchant at its PSP; null: the platform's own.
ALTER TABLE psp_accounts ADD CONSTRAINT psp_accounts_of_merchant UNIQUE (id, merchant_id, psp);
ALTER TABLE payments ADD COLUMN psp_account_id uuid;
ALTER TABLE payments ADD CONSTRAINT payments_psp_account
FOREIGN KEY (psp_account_id, merchant_id, psp) REFERENCES psp_accounts (id, merchant_id, psp);

-- Whoever comes back from it finds the payment decided already if the PSP was quicker.
ALTER TABLE payments ADD COLUMN action_at timestamptz;
COMMENT ON COLUMN payments.action_at IS 'when the customer was last asked to act, e.g. to approve at his bank';

CREATE TRIGGER payments_psp_account_stays BEFORE UPDATE ON payments FOR EACH ROW
WHEN (old.psp_account_id IS DISTINCT FROM new.psp_account_id OR old.psp <> new.psp)
EXECUTE FUNCTION refuse_change_of_identity();

-- What a PSP did without us (a refund made in its dashboard) is recorded as it was: born with its outcome.
ALTER TABLE payment_attempts DROP CONSTRAINT payment_attempts_origin_check;
ALTER TABLE payment_attempts ADD CONSTRAINT payment_attempts_origin_check
CHECK (origin IN ('client', 'overdue', 'undo', 'psp'));
DROP TRIGGER payment_attempts_begin_at_the_beginning ON payment_attempts;
CREATE TRIGGER payment_attempts_begin_at_the_beginning BEFORE INSERT ON payment_attempts FOR EACH ROW
WHEN (
    new.status NOT IN ('sending', 'unknown')
    AND NOT (new.origin = 'psp' AND new.status IN ('approved', 'declined', 'pending') AND new.psp_reference IS NOT null)
)
EXECUTE FUNCTION refuse_birth();

ALTER TABLE refunds ADD COLUMN origin text NOT NULL DEFAULT 'client' CHECK (
    origin IN ('client', 'overdue', 'undo', 'psp')
);
DROP TRIGGER refunds_begin_at_the_beginning ON refunds;
CREATE TRIGGER refunds_begin_at_the_beginning BEFORE INSERT ON refunds FOR EACH ROW
WHEN (new.status <> 'pending' AND new.origin <> 'psp')
EXECUTE FUNCTION refuse_birth();
