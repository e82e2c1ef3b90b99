-- The double-entry ledger: append-only, balanced, whoever writes.

CREATE TABLE ledger_journals (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    payment_id uuid,
    kind text NOT NULL CHECK (kind ~ '^[a-z_]{1,40}$'),
    correlation_id text NOT NULL CHECK (length(correlation_id) BETWEEN 1 AND 200),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    entry_count smallint NOT NULL CHECK (entry_count BETWEEN 2 AND 20),
    -- commit-safe order: transaction, then place in it
    tx bigint NOT NULL,
    position integer NOT NULL,
    created_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    PRIMARY KEY (id, merchant_id),
    FOREIGN KEY (payment_id, merchant_id) REFERENCES payments (id, merchant_id),
    -- The id is derived: the payment's 48 time bits, version and variant of a UUIDv7, 74 bits of a hash of the natural
    -- key. So the primary key refuses a second journal of one fact, whoever writes it and whatever id he thinks of.
    CONSTRAINT ledger_journals_natural_key CHECK (
        payment_id IS null OR (
            left(id::text, 13) = left(payment_id::text, 13)
            AND ('x' || right(replace(id::text, '-', ''), 20))::bit(80) = (
                x'70008000000000000000' | (
                    x'0FFF3FFFFFFFFFFFFFFF' & ('x' || left(encode(sha256(convert_to(
                        replace(merchant_id::text || E'\x1f' || payment_id::text, '-', '')
                        || E'\x1f' || kind || E'\x1f' || correlation_id, 'UTF8'
                    )), 'hex'), 20))::bit(80)
                )
            )
        )
    )
);

-- A journal that belongs to no payment has no time bits to derive an id from.
CREATE UNIQUE INDEX ledger_journals_without_payment ON ledger_journals (merchant_id, kind, correlation_id)
WHERE payment_id IS null;
CREATE INDEX ledger_journals_in_order ON ledger_journals (merchant_id, tx, position);

-- That the journal exists, and is complete and balanced, is checked for whole statements by the triggers below; a
-- foreign key would look it up once more for each row.
CREATE TABLE ledger_entries (
    journal_id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    line smallint NOT NULL CHECK (line >= 1),
    account_code text NOT NULL,
    debit_minor bigint NOT NULL DEFAULT 0,
    credit_minor bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (journal_id, merchant_id, line),
    CONSTRAINT ledger_entries_one_side CHECK (
        debit_minor >= 0 AND credit_minor >= 0 AND (debit_minor = 0) <> (credit_minor = 0)
    ),
    CONSTRAINT ledger_entries_known_account CHECK (
        account_code IN (
            'customer_funds_in_transit', 'psp_clearing', 'disputed_funds_at_psp', 'cash', 'merchant_payable',
            'disputed_funds_held', 'payouts_in_transit', 'transfers_between_merchants', 'platform_fee_revenue',
            'psp_fee_expense', 'dispute_fee_expense', 'bank_fee_expense', 'dispute_loss_expense', 'write_off_expense',
            'fx_position', 'suspense'
        )
    )
);

-- Sums per merchant, currency and account, kept in the transaction of the entries; re-derived by `bezant verify`.
CREATE TABLE ledger_balances (
    merchant_id uuid NOT NULL REFERENCES merchants (id),
    currency text NOT NULL,
    account_code text NOT NULL,
    debit_minor numeric(30) NOT NULL CHECK (debit_minor >= 0),
    credit_minor numeric(30) NOT NULL CHECK (credit_minor >= 0),
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (merchant_id, currency, account_code)
) WITH (fillfactor = 50);

-- A posting brings all entries of its journals in one statement: as many as the journal says, numbered from 1 without a
-- gap, balanced. Entries added later would need a line number that is taken or above the count. Both triggers look at
-- whole batches. Look-ups are scalar subqueries: a join that was planned while the tables were empty stays quadratic.
CREATE FUNCTION check_posted_entries() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong uuid;
BEGIN
    SELECT e.journal_id INTO wrong
    FROM (
        SELECT
            n.journal_id, n.merchant_id, count(*) AS lines, max(n.line) AS last_line,
            sum(n.debit_minor) - sum(n.credit_minor) AS difference_minor
        FROM posted AS n GROUP BY n.journal_id, n.merchant_id
    ) AS e
    WHERE
        e.difference_minor <> 0 OR e.lines <> e.last_line OR e.lines IS DISTINCT FROM (
            SELECT j.entry_count FROM ledger_journals AS j WHERE j.id = e.journal_id AND j.merchant_id = e.merchant_id
        )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal % does not balance or is not complete', wrong
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_journals_balance';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION check_posted_journals() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    empty uuid;
BEGIN
    SELECT j.id INTO empty
    FROM posted AS j
    WHERE (
        SELECT e.line FROM ledger_entries AS e
        WHERE e.journal_id = j.id AND e.merchant_id = j.merchant_id AND e.line = 1
    ) IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal % has no entries: journals and their entries come in one statement', empty
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_journals_not_empty';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION refuse_change_of_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: post a reversing journal instead', TG_TABLE_NAME
        USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_append_only';
END
$$;

CREATE TRIGGER ledger_entries_balance AFTER INSERT ON ledger_entries
REFERENCING NEW TABLE AS posted FOR EACH STATEMENT EXECUTE FUNCTION check_posted_entries();
CREATE TRIGGER ledger_journals_not_empty AFTER INSERT ON ledger_journals
REFERENCING NEW TABLE AS posted FOR EACH STATEMENT EXECUTE FUNCTION check_posted_journals();
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_ledger();
CREATE TRIGGER ledger_journals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_journals
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_ledger();
CREATE TRIGGER ledger_balances_never_deleted BEFORE DELETE OR TRUNCATE ON ledger_balances
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_ledger();
