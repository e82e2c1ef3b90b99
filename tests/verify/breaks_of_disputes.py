"""One way to break each thing that must hold of disputes."""

from typing import Final

from tests.verify.breaking import Breaking

_LOST: Final = "(SELECT id FROM disputes WHERE status = 'lost' ORDER BY id LIMIT 1)"
_WON: Final = "(SELECT id FROM disputes WHERE status = 'won' ORDER BY id LIMIT 1)"
_ANSWERED: Final = "(SELECT dispute_id FROM dispute_actions WHERE action = 'submit' ORDER BY id LIMIT 1)"
_LOST_JOURNAL: Final = "(SELECT id FROM ledger_journals WHERE kind = 'dispute_lost' ORDER BY id LIMIT 1)"

DISPUTES: Final = (
    Breaking(
        "disputed_is_derived",
        "pay",
        f"""UPDATE payments SET disputed_minor = disputed_minor - 1
        WHERE id = (SELECT payment_id FROM disputes WHERE id = {_LOST}) RETURNING id""",
    ),
    Breaking(
        "disputes_agree_with_their_rounds",
        "dsp",
        f"UPDATE disputes SET status = 'won' WHERE id = {_LOST} RETURNING id",
        what="status",
    ),
    Breaking(
        "disputes_agree_with_their_rounds",
        "dsp",
        f"UPDATE disputes SET psp_account_id = gen_random_uuid() WHERE id = {_LOST} RETURNING id",
        what="account",
    ),
    Breaking(
        "disputes_agree_with_their_rounds",
        "dsp",
        f"UPDATE disputes SET round = round + 1, stage = 'second' WHERE id = {_WON} RETURNING id",
        what="rounds",
    ),
    Breaking(
        "disputes_are_posted",
        "dsp",
        f"""UPDATE dispute_rounds SET absorbed_minor = amount_minor WHERE dispute_id = {_LOST} RETURNING dispute_id""",
        what="absorbed",
    ),
    Breaking(
        "disputes_are_posted",
        "dsp",
        f"""UPDATE dispute_rounds SET amount_minor = amount_minor + 1 WHERE dispute_id = {_WON} RETURNING dispute_id""",
        what="amount",
    ),
    Breaking(
        "postings_of_disputes_have_a_round",
        "jrn",
        f"UPDATE ledger_journals SET currency = 'EUR' WHERE id = {_LOST_JOURNAL} RETURNING id",
        also=frozenset({"disputes_are_posted", "balances_are_sums"}),
        what="currency",
    ),
    Breaking(
        "disputes_are_told",
        "dsp",
        f"""WITH gone AS (
            DELETE FROM outbox_events WHERE type = 'dispute.opened'
                AND data -> 'dispute' ->> 'dispute_id' = 'dsp_' || replace({_LOST}::text, '-', '') RETURNING id
        ) SELECT {_LOST} FROM gone""",
        what="opened",
    ),
    Breaking(
        "dispute_actions_are_not_forgotten",
        "dsa",
        "UPDATE dispute_actions SET status = 'unknown' WHERE action = 'submit' RETURNING id",
        also=frozenset({"evidence_stays_as_it_was"}),
        drop=("dispute_actions", "dispute_actions_checked"),
    ),
    Breaking(
        "disputes_are_answered_once",
        "dsa",
        """INSERT INTO dispute_actions
        SELECT (left(id::text, 13) || '-7fff-bfff-ffffffffffff')::uuid, merchant_id, payment_id, dispute_id, round,
            'accept', status, failure, detail, lease_until, next_check_at, checks, created_at, updated_at
        FROM dispute_actions WHERE action = 'submit' RETURNING id""",
        drop=("", "dispute_actions_once"),
    ),
    Breaking(
        "evidence_stays_as_it_was",
        "dse",
        "UPDATE dispute_evidence SET content = content || 'x' WHERE content IS NOT NULL RETURNING id",
        what="content",
    ),
    Breaking(
        "evidence_stays_as_it_was",
        "dse",
        f"UPDATE dispute_evidence SET submitted_by = gen_random_uuid() WHERE dispute_id = {_ANSWERED} RETURNING id",
        what="nobody's",
    ),
    Breaking(
        "rows_stay_in_their_family",
        "dse",
        "UPDATE dispute_evidence SET id = gen_random_uuid() WHERE content IS NOT NULL RETURNING id",
        what="evidence",
    ),
    Breaking(
        "no_card_data",
        "dse",
        "UPDATE dispute_evidence SET words = 'cvv 123' WHERE words IS NOT NULL RETURNING id",
        what="evidence",
    ),
)
