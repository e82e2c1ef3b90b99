-- What PSPs and banks report, and how it is explained by the ledger.
--
-- Lines are kept as they were read and never change. What is not explained yet stands in a small table of its own
-- (`open_lines`, `operations_in_transit`, `open_bank_lines`) and leaves it with its explanation, so that a run costs
-- what is open, not what ever was. `explained` says of each thing which match explains it: its primary key is why
-- nothing is explained twice.

CREATE TABLE bank_accounts (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9_-]{1,60}$'),
    -- an IBAN or the bank's own number, without blanks, in capitals
    identification text NOT NULL UNIQUE CHECK (identification ~ '^[A-Z0-9/.:-]{1,64}$'),
    currency text CHECK (currency ~ '^[A-Z]{3}$'),
    -- which of its statements bring entries: those of whole days, or those within the day that tell them before
    counts text NOT NULL DEFAULT 'final' CHECK (counts IN ('final', 'interim')),
    created_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz
);

CREATE TABLE report_files (
    id uuid PRIMARY KEY,
    source text NOT NULL CHECK (source IN ('psp', 'bank')),
    psp text,
    psp_account_id uuid REFERENCES psp_accounts (id),
    format text,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    options jsonb NOT NULL DEFAULT '{}',
    -- of the file as it came; known once it is here
    sha256 bytea CHECK (octet_length(sha256) = 32),
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    -- receiving: somebody still sends it
    state text NOT NULL CHECK (state IN ('receiving', 'received', 'loading', 'loaded', 'refused')),
    refusal text,
    refused_line integer,
    refused_field text,
    lines integer NOT NULL DEFAULT 0,
    repeated integer NOT NULL DEFAULT 0,
    quarantined integer NOT NULL DEFAULT 0,
    summary jsonb NOT NULL DEFAULT '{}',
    uploaded_by text NOT NULL,
    -- the file whose content this reads once more; null: it has a content of its own
    content_of uuid REFERENCES report_files (id),
    -- who receives or loads it, and until when nobody else may
    lease_owner uuid,
    lease_until timestamptz,
    created_at timestamptz NOT NULL,
    loaded_at timestamptz,
    CONSTRAINT report_files_psp CHECK ((source = 'psp') = (psp IS NOT null)),
    CONSTRAINT report_files_refused CHECK ((state = 'refused') = (refusal IS NOT null)),
    CONSTRAINT report_files_received CHECK ((state = 'receiving') = (sha256 IS null)),
    CONSTRAINT report_files_leased CHECK (
        (state IN ('receiving', 'loading')) = (lease_until IS NOT null)
        AND (lease_until IS null) = (lease_owner IS null)
    )
);

-- Each file once; one that was refused may come again, and a person may have one read again.
CREATE UNIQUE INDEX report_files_once ON report_files (sha256) WHERE state <> 'refused' AND content_of IS null;
CREATE UNIQUE INDEX report_files_one_reading ON report_files (content_of) WHERE state IN ('received', 'loading');
CREATE INDEX report_files_of_content ON report_files (content_of) WHERE content_of IS NOT null;
-- Lines of one account are loaded by one file at a time, so that a refused one takes nothing of another's with it.
CREATE UNIQUE INDEX report_files_one_loading ON report_files (
    source, psp, psp_account_id
) NULLS NOT DISTINCT WHERE state = 'loading';
CREATE INDEX report_files_by_loading ON report_files (loaded_at) WHERE loaded_at IS NOT null;
CREATE INDEX report_files_to_load ON report_files (created_at) WHERE state IN ('receiving', 'received', 'loading');
CREATE INDEX report_files_by_name ON report_files (name);

-- The file as it came, in pieces, each compressed (zlib).
CREATE TABLE report_file_parts (
    file_id uuid NOT NULL REFERENCES report_files (id),
    part integer NOT NULL CHECK (part >= 0),
    body bytea NOT NULL,
    PRIMARY KEY (file_id, part)
);

-- It is compressed: trying once more costs and gains nothing.
ALTER TABLE report_file_parts ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE FUNCTION refuse_change_of_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a file that came is kept as it came'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'report_files_are_kept';
END
$$;

CREATE FUNCTION refuse_loss_of_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM report_files AS f WHERE f.id = OLD.file_id AND f.state <> 'receiving'
    ) THEN
        RAISE EXCEPTION 'a file that came is kept'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'report_files_are_kept';
    END IF;
    RETURN OLD;
END
$$;

CREATE TRIGGER report_file_parts_never_change BEFORE UPDATE OR TRUNCATE ON report_file_parts
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_file();
-- Only what was never sent to its end may go again.
CREATE TRIGGER report_file_parts_are_kept BEFORE DELETE ON report_file_parts
FOR EACH ROW EXECUTE FUNCTION refuse_loss_of_file();

CREATE TABLE quarantined_lines (
    file_id uuid NOT NULL REFERENCES report_files (id),
    line integer NOT NULL,
    reason text NOT NULL,
    field text,
    content text NOT NULL CHECK (length(content) <= 500),
    PRIMARY KEY (file_id, line)
);

-- The id is derived from (psp, account, line_reference) and carries the time bits of occurred_at: each line once.
CREATE TABLE psp_lines (
    id uuid PRIMARY KEY,
    file_id uuid NOT NULL,
    line integer NOT NULL,
    psp text NOT NULL,
    psp_account_id uuid,
    line_reference text NOT NULL,
    kind text NOT NULL CHECK (
        kind IN (
            'charge', 'refund', 'refund_failed', 'dispute', 'dispute_reversed', 'fee', 'payout', 'payout_failed',
            'adjustment'
        )
    ),
    currency text NOT NULL,
    gross_minor bigint NOT NULL,
    fee_minor bigint NOT NULL,
    net_minor bigint NOT NULL,
    presented_minor bigint,
    presented_currency text,
    reference text,
    psp_reference text,
    operation_reference text,
    payout_id uuid,
    occurred_at timestamptz NOT NULL,
    description text,
    CONSTRAINT psp_lines_net CHECK (net_minor = gross_minor - fee_minor)
);

CREATE INDEX psp_lines_of_payout ON psp_lines (payout_id, id) WHERE payout_id IS NOT null;
CREATE INDEX psp_lines_of_no_payout ON psp_lines (psp, occurred_at) WHERE payout_id IS null;

-- Payouts of lines that were there before: the next run names them, so that nothing is explained meanwhile.
CREATE TABLE late_payouts (
    line_id uuid PRIMARY KEY,
    payout_id uuid NOT NULL,
    -- what says so counts once this is loaded
    file_id uuid NOT NULL
);

CREATE INDEX late_payouts_of_file ON late_payouts (file_id);

CREATE TABLE open_lines (
    line_id uuid PRIMARY KEY,
    file_id uuid NOT NULL
);

-- A file that is refused takes its lines with it.
CREATE INDEX open_lines_of_file ON open_lines (file_id);

-- What a PSP sends to the bank. A payout below zero is taken from the bank.
CREATE TABLE psp_payouts (
    id uuid PRIMARY KEY,
    psp text NOT NULL,
    psp_account_id uuid,
    payout_reference text NOT NULL,
    currency text NOT NULL,
    -- from the report's own payout line; null where only its lines name it
    amount_minor bigint,
    paid_at timestamptz,
    deposited_at timestamptz,
    -- it never came, and a person has given it up: since `deposited_at` its lines are shared out as lost
    written_off boolean NOT NULL DEFAULT false,
    -- it failed, and came with this one, beyond what that one's own lines say
    sent_again_with uuid REFERENCES psp_payouts (id),
    -- of the lines that were explained before its deposit was found: shared out up to this one, and when all were
    shared_through uuid,
    shared_at timestamptz,
    CONSTRAINT psp_payouts_shared CHECK (shared_at IS null OR deposited_at IS NOT null),
    CONSTRAINT psp_payouts_ended_by_hand CHECK (
        deposited_at IS NOT null OR (NOT written_off AND sent_again_with IS null)
    )
);

CREATE INDEX psp_payouts_open ON psp_payouts (psp, id) WHERE deposited_at IS null;
CREATE INDEX psp_payouts_sent_again ON psp_payouts (sent_again_with) WHERE sent_again_with IS NOT null;
CREATE INDEX psp_payouts_to_share ON psp_payouts (id) WHERE deposited_at IS NOT null AND shared_at IS null;

CREATE TABLE bank_lines (
    id uuid PRIMARY KEY,
    file_id uuid NOT NULL,
    line integer NOT NULL,
    bank_account_id uuid NOT NULL REFERENCES bank_accounts (id),
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('transfer', 'fee', 'interest', 'return')),
    is_reversal boolean NOT NULL,
    entry_reference text,
    refs text[] NOT NULL,
    content text NOT NULL,
    counterparty text,
    original_minor bigint,
    original_currency text,
    booked_on date NOT NULL,
    value_on date
);

CREATE TABLE open_bank_lines (
    line_id uuid PRIMARY KEY,
    file_id uuid NOT NULL,
    -- booked as suspense once its time was up
    in_suspense boolean NOT NULL DEFAULT false
);

CREATE INDEX open_bank_lines_of_file ON open_bank_lines (file_id);

-- Facts of the ledger that a PSP must still report: a capture, a refund, a refund that failed, a dispute opened or won.
-- `id` is the journal's; `amount_minor` as the PSP's balance should move.
CREATE TABLE operations_in_transit (
    id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('capture', 'refund', 'refund_failed', 'dispute_opened', 'dispute_won')),
    correlation_id text NOT NULL,
    psp text NOT NULL,
    psp_account_id uuid,
    psp_reference text,
    operation_reference text,
    currency text NOT NULL,
    amount_minor bigint NOT NULL,
    effective_at timestamptz NOT NULL,
    PRIMARY KEY (id, merchant_id)
);

CREATE INDEX operations_in_transit_of_payment ON operations_in_transit (payment_id);
CREATE INDEX operations_in_transit_by_age ON operations_in_transit (effective_at);

-- How far the ledger's journals have been looked through for operations.
CREATE TABLE operations_cursor (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    tx bigint NOT NULL
);

INSERT INTO operations_cursor (tx) VALUES (0);

-- Journals are written in the order of their transactions, so this index costs next to nothing.
CREATE INDEX ledger_journals_by_tx ON ledger_journals USING brin (tx) WITH (pages_per_range = 16, autosummarize = on);

-- That a journal's payment is there and its merchant's is looked up for whole statements too, as entries are: payments
-- are never deleted and never change hands, so no row needs to be locked for it, as a foreign key would each time.
ALTER TABLE ledger_journals DROP CONSTRAINT ledger_journals_payment_id_merchant_id_fkey;

-- As before, in an eighth of the time: bounds within an expression are unrolled, and cost more than all else of a row.
ALTER TABLE ledger_journals DROP CONSTRAINT ledger_journals_kind_check;
ALTER TABLE ledger_journals ADD CONSTRAINT ledger_journals_kind_check CHECK (
    kind ~ '^[a-z_]+$' AND length(kind) <= 40
);

CREATE OR REPLACE FUNCTION check_posted_journals() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong uuid;
BEGIN
    SELECT j.id INTO wrong
    FROM posted AS j
    WHERE (
        SELECT e.line FROM ledger_entries AS e
        WHERE e.journal_id = j.id AND e.merchant_id = j.merchant_id AND e.line = 1
    ) IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal % has no entries: journals and their entries come in one statement', wrong
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_journals_not_empty';
    END IF;
    SELECT j.id INTO wrong
    FROM posted AS j
    WHERE j.payment_id IS NOT null AND (
        SELECT p.id FROM payments AS p WHERE p.id = j.payment_id AND p.merchant_id = j.merchant_id
    ) IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal % is of a payment that is not there, or of another merchant''s', wrong
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'ledger_journals_payment';
    END IF;
    RETURN NULL;
END
$$;

CREATE TABLE explained (
    item_id uuid PRIMARY KEY,
    side text NOT NULL CHECK (side IN ('operation', 'line', 'payout', 'bank_line')),
    match_id uuid NOT NULL,
    rule text NOT NULL,
    -- whose book the postings are in
    merchant_id uuid NOT NULL,
    explained_at timestamptz NOT NULL
);

CREATE INDEX explained_by_match ON explained (match_id);

-- One run at a time: whoever holds this, on the database's clock.
CREATE TABLE reconciliation_lease (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    holder uuid,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    -- when somebody asked for a run, and when the last one that came to its end had begun
    wanted_at timestamptz,
    ran_at timestamptz
);

INSERT INTO reconciliation_lease DEFAULT VALUES;

-- How often a match was undone by a person: what it posts again afterwards has a name of its own.
CREATE TABLE undone_matches (
    item_id uuid PRIMARY KEY,
    times integer NOT NULL CHECK (times > 0)
);

-- Breaks belong to whatever they are about, not to payments alone, and are worked on.
ALTER TABLE breaks ALTER COLUMN payment_id DROP NOT NULL;
ALTER TABLE breaks ADD COLUMN subject text;
ALTER TABLE breaks ADD COLUMN item_id uuid;
ALTER TABLE breaks ADD COLUMN items uuid[] NOT NULL DEFAULT '{}';
ALTER TABLE breaks ADD COLUMN psp text;
ALTER TABLE breaks ADD COLUMN currency text CHECK (currency ~ '^[A-Z]{3}$');
ALTER TABLE breaks ADD COLUMN at_risk_minor bigint CHECK (at_risk_minor >= 0);
ALTER TABLE breaks ADD COLUMN status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'resolved'));
ALTER TABLE breaks ADD COLUMN owner text;
ALTER TABLE breaks ADD COLUMN resolution text;
ALTER TABLE breaks ADD COLUMN resolved_by text;
ALTER TABLE breaks ADD COLUMN resolved_at timestamptz;
ALTER TABLE breaks ADD COLUMN journal_id uuid;
ALTER TABLE breaks ADD COLUMN since timestamptz;
ALTER TABLE breaks ADD COLUMN heals integer NOT NULL DEFAULT 0;
ALTER TABLE breaks ADD COLUMN next_heal_at timestamptz;
ALTER TABLE breaks ADD CONSTRAINT breaks_resolved CHECK (
    (status = 'resolved') = (resolved_at IS NOT null) AND (resolved_at IS null) = (resolution IS null)
);
COMMENT ON COLUMN breaks.subject IS 'what it is about, as it is shown: an operation, a line, a payout, a bank line';
COMMENT ON COLUMN breaks.item_id IS 'the id of that; once it is explained, the break closes by itself';
COMMENT ON COLUMN breaks.items IS 'that, and what else it is about: an operation that a line does not agree with';
COMMENT ON COLUMN breaks.since IS 'when what it is about began; its age counts from here, else from created_at';
COMMENT ON COLUMN breaks.next_heal_at IS 'when its PSP is asked about it next; null where that is no use';

CREATE INDEX breaks_open ON breaks (kind, id) WHERE status = 'open';
CREATE INDEX breaks_to_heal ON breaks (next_heal_at) WHERE status = 'open' AND next_heal_at IS NOT null;
CREATE INDEX breaks_of_item ON breaks (item_id) WHERE item_id IS NOT null;

CREATE TABLE break_comments (
    id uuid PRIMARY KEY,
    break_id uuid NOT NULL,
    merchant_id uuid NOT NULL,
    author text NOT NULL,
    body text NOT NULL CHECK (length(body) BETWEEN 1 AND 4000),
    created_at timestamptz NOT NULL,
    FOREIGN KEY (break_id, merchant_id) REFERENCES breaks (id, merchant_id)
);

CREATE FUNCTION refuse_change_of_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a line that was reported never changes'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'reported_lines_never_change';
END
$$;

-- But for one thing: a PSP may report a movement before it knows the payout that will carry it.
CREATE FUNCTION refuse_change_but_of_payout() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    as_before psp_lines := NEW;
BEGIN
    as_before.payout_id := NULL;
    IF as_before IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'a line that was reported never changes'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reported_lines_never_change';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER psp_lines_never_change BEFORE UPDATE ON psp_lines
FOR EACH ROW EXECUTE FUNCTION refuse_change_but_of_payout();
CREATE TRIGGER psp_lines_never_truncated BEFORE TRUNCATE ON psp_lines
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_line();
CREATE TRIGGER bank_lines_never_change BEFORE UPDATE OR TRUNCATE ON bank_lines
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_line();

-- Lines leave only with a file that was refused before it was loaded.
CREATE FUNCTION refuse_loss_of_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM removed AS r INNER JOIN report_files AS f ON f.id = r.file_id WHERE f.state = 'loaded'
    ) THEN
        RAISE EXCEPTION 'a line of a loaded file is never deleted'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reported_lines_never_deleted';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER psp_lines_never_deleted AFTER DELETE ON psp_lines
REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION refuse_loss_of_line();
CREATE TRIGGER bank_lines_never_deleted AFTER DELETE ON bank_lines
REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION refuse_loss_of_line();
