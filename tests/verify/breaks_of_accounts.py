"""One way to break each thing that must hold of merchants' accounts at PSPs, and of what is stored sealed."""

from typing import Final

from tests.verify.breaking import Breaking

_ACTIVE: Final = "(SELECT id FROM psp_accounts WHERE status = 'active' ORDER BY id LIMIT 1)"
_OWN: Final = "(SELECT id FROM payments WHERE psp_account_id IS NULL AND status = 'captured' ORDER BY id LIMIT 1)"
_THEIRS: Final = "(SELECT id FROM payments WHERE psp_account_id IS NOT NULL ORDER BY id LIMIT 1)"
_SHOWN: Final = "'acc_' || replace(a.id::text, '-', '')"

ACCOUNTS: Final = (
    Breaking(
        "payments_are_in_their_account",
        "pay",
        f"UPDATE payments SET psp_account_id = {_ACTIVE} WHERE id = {_OWN} RETURNING id",
        what="another merchant's",
    ),
    Breaking(
        "payments_are_in_their_account",
        "pay",
        f"UPDATE payments SET psp_account_id = gen_random_uuid() WHERE id = {_THEIRS} RETURNING id",
        what="nobody's",
    ),
    Breaking(
        "accounts_are_accounted_for",
        "acc",
        f"""DELETE FROM audit_log AS l USING psp_accounts AS a
        WHERE a.status = 'active' AND l.action = 'create_psp_account' AND l.subject = {_SHOWN} RETURNING a.id""",
        what="made",
    ),
    Breaking(
        "accounts_are_accounted_for",
        "acc",
        f"""DELETE FROM audit_log AS l USING psp_accounts AS a
        WHERE l.action = 'close_psp_account' AND l.subject = {_SHOWN} RETURNING a.id""",
        what="closed",
    ),
    Breaking(
        "one_account_takes_payments",
        "acc",
        f"""WITH opened AS (UPDATE psp_accounts SET status = 'active' WHERE status = 'closed' RETURNING id)
        SELECT {_ACTIVE} FROM opened""",
        drop=("", "psp_accounts_one_active"),
    ),
    Breaking(
        "sealed_rows_open",
        "acc",
        f"""UPDATE psp_accounts SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)
        WHERE id = {_ACTIVE} RETURNING id""",
        what="altered",
    ),
    Breaking(
        "sealed_rows_open",
        "acc",
        f"UPDATE psp_accounts SET key_id = 'another-key' WHERE id = {_ACTIVE} RETURNING id",
        what="lost key",
    ),
    Breaking(
        "sealed_rows_open",
        "whe",
        """INSERT INTO webhook_endpoints (id, merchant_id, url, key_id, sealed, created_at, updated_at)
        SELECT gen_random_uuid(), a.merchant_id, 'https://shop.example', a.key_id, a.sealed, now(), now()
        FROM psp_accounts AS a LIMIT 1 RETURNING id""",
        what="endpoint",
    ),
)
