-- What reconciliation and disputes say of a payment.

ALTER TABLE payments ADD COLUMN settled_minor bigint NOT NULL DEFAULT 0;
ALTER TABLE payments ADD COLUMN disputed_open_minor bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN payments.settled_minor IS
'captured, reported by the PSP, and its payout matched at the bank; all of what was captured: settled';
COMMENT ON COLUMN payments.disputed_minor IS 'taken back by disputes that are open or lost';
COMMENT ON COLUMN payments.disputed_open_minor IS 'the part of disputed_minor whose disputes are not decided yet';

ALTER TABLE payments ADD CONSTRAINT payments_settled_within_captured CHECK (
    settled_minor BETWEEN 0 AND captured_minor
);
ALTER TABLE payments ADD CONSTRAINT payments_disputed_open_within_disputed CHECK (
    disputed_open_minor BETWEEN 0 AND disputed_minor
);
ALTER TABLE payments DROP CONSTRAINT payments_status_agrees_with_amounts;
ALTER TABLE payments ADD CONSTRAINT payments_status_agrees_with_amounts CHECK (
    CASE status
        WHEN 'pending' THEN authorized_minor = 0 AND captured_minor = 0
        WHEN 'authorized' THEN captured_minor = 0 AND authorized_minor > released_minor
        WHEN 'failed' THEN captured_minor = 0 AND authorized_minor = 0
        WHEN 'canceled' THEN captured_minor = 0 AND authorized_minor = released_minor
        WHEN 'captured' THEN captured_minor > refunded_minor AND settled_minor < captured_minor
        WHEN 'settled' THEN captured_minor > refunded_minor AND settled_minor = captured_minor
        WHEN 'refunding' THEN refunding_minor > 0
        WHEN 'refunded' THEN captured_minor > 0 AND refunded_minor >= captured_minor
        WHEN 'chargeback_open' THEN disputed_open_minor > 0
        WHEN 'chargeback_lost' THEN disputed_minor > 0 AND disputed_open_minor = 0
        ELSE false
    END
);

-- The operator's own book: money that belongs to no merchant, or that nobody can explain yet.
INSERT INTO merchants (id, name, kind, currency, psp)
VALUES ('00000000-0000-7000-8000-000000000001', 'Operator', 'platform', 'USD', 'none');
