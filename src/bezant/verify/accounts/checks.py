"""The checks of accounts at PSPs by name, and whether what is sealed opens."""

from typing import Final

from bezant.base import ids
from bezant.base.sealed import SealBroken, Sealer, bound_to
from bezant.verify.accounts import store
from bezant.verify.report import Check, Findings, Result, Rows, shown

CHECKS: Final = (
    Check(
        "payments_are_in_their_account",
        "Each payment in an account of its own is in one of its merchant, at its PSP.",
        ids.PAYMENT,
        store.IN_ANOTHERS_ACCOUNT,
    ),
    Check(
        "accounts_are_accounted_for",
        "Each account at a PSP was made, and closed if it is, by somebody who said why.",
        ids.PSP_ACCOUNT,
        store.CHANGE_WITHOUT_A_NAME,
    ),
    Check(
        "one_account_takes_payments",
        "Of a merchant's accounts at a PSP, at most one takes new payments.",
        ids.PSP_ACCOUNT,
        store.TWO_ACTIVE,
    ),
)


async def check_sealed(rows: Rows, sealer: Sealer | None) -> tuple[Result, ...]:
    """Whether each sealed row opens with a master key that is given; without any, none does."""
    findings = Findings("sealed_rows_open", "Each stored secret opens with a master key that is given.")
    for table, (prefix, query) in store.SEALED.items():
        async for row_id, key_id, sealed in rows.stream(query):
            try:
                if sealer is None:
                    raise SealBroken("no master key is given")
                sealer.open(key_id, sealed, bound_to(table, row_id))
            except SealBroken as broken:
                findings.add(shown(prefix, row_id), f"{table}: {broken}")
    return (findings.result(),)
