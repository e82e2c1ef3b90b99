"""Every SQL statement that looks for what is wrong with accounts at PSPs; and those that read what is sealed."""

from bezant.base import ids

_SHOWN = f"'{ids.PSP_ACCOUNT}_' || replace(a.id::text, '-', '')"

# A payment lives in an account of its own merchant, at its own PSP.
IN_ANOTHERS_ACCOUNT = """
SELECT p.id, format('in account %s of merchant %s at %s', p.psp_account_id, a.merchant_id, a.psp)
FROM payments AS p LEFT JOIN psp_accounts AS a ON a.id = p.psp_account_id
WHERE p.psp_account_id IS NOT NULL AND (a.merchant_id, a.psp) IS DISTINCT FROM (p.merchant_id, p.psp)
"""

CHANGE_WITHOUT_A_NAME = f"""
SELECT a.id, format('nobody has said why it was %s', w.what)
FROM psp_accounts AS a
CROSS JOIN LATERAL (
    VALUES ('made', 'create_psp_account', true), ('closed', 'close_psp_account', a.status = 'closed')
) AS w (what, action, is_due)
LEFT JOIN audit_log AS l ON l.action = w.action AND l.subject = {_SHOWN} AND l.merchant_id = a.merchant_id
WHERE w.is_due AND l.id IS NULL
"""

TWO_ACTIVE = """
SELECT a.id, format('a second active account of its merchant at %s', a.psp)
FROM (
    SELECT id, psp, row_number() OVER (PARTITION BY merchant_id, psp ORDER BY id) AS place
    FROM psp_accounts WHERE status = 'active'
) AS a
WHERE a.place > 1
"""

SEALED = {
    "psp_accounts": (ids.PSP_ACCOUNT, "SELECT s.id, s.key_id, s.sealed FROM psp_accounts AS s"),
    "webhook_endpoints": ("whe", "SELECT s.id, s.key_id, s.sealed FROM webhook_endpoints AS s"),
}
