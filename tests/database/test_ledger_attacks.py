"""What an attacker or a careless operator types into psql about the ledger is refused."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.support.books import Books, derived_id, posting

COLUMNS = ("journal_id", "merchant_id", "line", "account_code", "debit_minor", "credit_minor")
INSERT_ENTRIES = f"INSERT INTO ledger_entries ({', '.join(COLUMNS)}) VALUES "
JOURNAL_ALONE = """
INSERT INTO ledger_journals (id, merchant_id, payment_id, kind, correlation_id, currency, entry_count, tx, position,
    created_at, effective_at)
VALUES ($1, $2, $3, 'capture', 'fact', 'USD', 2, 1, 1, now(), now())
"""


async def test_lawful_posting_is_taken(books: Books) -> None:
    await books.journal(await books.payment("captured"))
    await books.at_commit()


@pytest.mark.parametrize(
    "lines",
    [
        ((100, 0), (0, 99)),
        ((100, 0), (100, 0)),
        ((100, 0), (0, 60), (0, 39)),
    ],
)
async def test_unbalanced_journal_is_refused(books: Books, lines: tuple[tuple[int, int], ...]) -> None:
    payment_id = await books.payment("captured")
    statement, *parameters = posting(books.merchant_id, payment_id, lines)
    assert await books.refused(statement, *parameters) == "ledger_journals_balance"


async def test_two_unbalanced_journals_that_balance_together_are_refused(books: Books) -> None:
    one, two = await books.payment("captured"), await books.payment("captured")
    first, second = (derived_id(books.merchant_id, p, "capture", "fact") for p in (one, two))
    statement = f"""
    WITH journals AS (
        INSERT INTO ledger_journals (id, merchant_id, payment_id, kind, correlation_id, currency, entry_count, tx,
            position, created_at, effective_at)
        SELECT j.id, '{books.merchant_id}', j.payment_id, 'capture', 'fact', 'USD', 2, 1, 1, now(), now()
        FROM (VALUES ('{first}'::uuid, '{one}'::uuid), ('{second}'::uuid, '{two}'::uuid)) AS j (id, payment_id)
    )
    {INSERT_ENTRIES}
    {_entry(first, books, 1, 100, 0)}, {_entry(first, books, 2, 0, 90)},
    {_entry(second, books, 1, 100, 0)}, {_entry(second, books, 2, 0, 110)}
    """
    assert await books.refused(statement) == "ledger_journals_balance"


@pytest.mark.parametrize(("lines", "constraint"), [((0, 0), "one_side"), ((5, 5), "one_side"), ((-5, 0), "one_side")])
async def test_entry_has_exactly_one_side(books: Books, lines: tuple[int, int], constraint: str) -> None:
    payment_id = await books.payment("captured")
    statement, *parameters = posting(books.merchant_id, payment_id, (lines, (0, 5)))
    assert await books.refused(statement, *parameters) == f"ledger_entries_{constraint}"


async def test_account_that_does_not_exist_is_refused(books: Books) -> None:
    payment_id = await books.payment("captured")
    statement, *parameters = posting(books.merchant_id, payment_id)
    refusal = await books.refused(statement.replace("'cash'", "'my_pocket'"), *parameters)
    assert refusal == "ledger_entries_known_account"


@pytest.mark.parametrize("entry_count", [3, 1, 0])
async def test_journal_that_says_another_number_of_entries_is_refused(books: Books, entry_count: int) -> None:
    payment_id = await books.payment("captured")
    statement, *parameters = posting(books.merchant_id, payment_id, entry_count=entry_count)
    refusal = await books.refused(statement, *parameters)
    assert refusal in ("ledger_journals_balance", "ledger_journals_entry_count_check")


async def test_journal_without_entries_is_refused(books: Books) -> None:
    payment_id = await books.payment("captured")
    journal_id = derived_id(books.merchant_id, payment_id, "capture", "fact")
    refusal = await books.refused(JOURNAL_ALONE, journal_id, books.merchant_id, payment_id)
    assert refusal == "ledger_journals_not_empty"


async def test_entries_without_a_journal_are_refused(books: Books) -> None:
    journal_id = uuid4()
    statement = f"{INSERT_ENTRIES} {_entry(journal_id, books, 1, 100, 0)}, {_entry(journal_id, books, 2, 0, 100)}"
    assert await books.refused(statement) == "ledger_journals_balance"


async def test_entries_in_another_merchants_name_are_refused(books: Books) -> None:
    journal_id = await books.journal(await books.payment("captured"))
    books.merchant_id = books.other_id
    statement = f"{INSERT_ENTRIES} {_entry(journal_id, books, 1, 100, 0)}, {_entry(journal_id, books, 2, 0, 100)}"
    assert await books.refused(statement) == "ledger_journals_balance"


@pytest.mark.parametrize("first_line", [1, 2, 3, 19, 32_766])
async def test_balanced_pair_added_to_an_old_journal_is_refused(books: Books, first_line: int) -> None:
    journal_id = await books.journal(await books.payment("captured"))
    statement = (
        f"{INSERT_ENTRIES} {_entry(journal_id, books, first_line, 100, 0)}, "
        f"{_entry(journal_id, books, first_line + 1, 0, 100)}"
    )
    assert await books.refused(statement) in ("ledger_entries_pkey", "ledger_journals_balance")


@pytest.mark.parametrize("line", [0, -1])
async def test_balanced_pair_before_the_first_line_is_refused(books: Books, line: int) -> None:
    journal_id = await books.journal(await books.payment("captured"))
    statement = f"{INSERT_ENTRIES} {_entry(journal_id, books, line, 1, 0)}, {_entry(journal_id, books, 3, 0, 1)}"
    assert await books.refused(statement) == "ledger_entries_line_check"


@pytest.mark.parametrize("action", ["NOTHING", "UPDATE SET line = excluded.line + 2"])
async def test_pair_does_not_slip_in_through_on_conflict(books: Books, action: str) -> None:
    journal_id = await books.journal(await books.payment("captured"))
    target = "(journal_id, merchant_id, line)"
    pairs = ", ".join(_entry(journal_id, books, n, 100 * (n % 2), 100 * (1 - n % 2)) for n in (1, 2, 3, 4))
    statement = f"{INSERT_ENTRIES} {pairs} ON CONFLICT {target} DO {action}"
    assert await books.refused(statement) in ("ledger_journals_balance", "ledger_append_only")


async def test_pair_does_not_slip_in_beside_a_new_journal_in_one_statement(books: Books) -> None:
    old_id = await books.journal(await books.payment("captured"))
    statement, *parameters = posting(books.merchant_id, await books.payment("captured"))
    both = f"{statement} UNION ALL SELECT {_entry(old_id, books, 3, 100, 0)[1:-1]}"
    both += f" UNION ALL SELECT {_entry(old_id, books, 4, 0, 100)[1:-1]}"
    assert await books.refused(both, *parameters) == "ledger_journals_balance"


async def test_two_statements_of_one_transaction_do_not_make_a_journal(books: Books) -> None:
    payment_id = await books.payment("captured")
    statement, *parameters = posting(books.merchant_id, payment_id, ((100, 0),), entry_count=2)
    assert await books.refused(statement, *parameters) == "ledger_journals_balance"


async def test_pair_does_not_slip_in_through_copy(books: Books) -> None:
    journal_id = await books.journal(await books.payment("captured"))
    rows = [
        (journal_id, books.merchant_id, 3, "cash", 100, 0),
        (journal_id, books.merchant_id, 4, "suspense", 0, 100),
    ]
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await books.connection.copy_records_to_table("ledger_entries", records=rows, columns=list(COLUMNS))
    assert refusal.value.constraint_name == "ledger_journals_balance"


async def test_pair_does_not_slip_in_through_merge(books: Books) -> None:
    journal_id = await books.journal(await books.payment("captured"))
    statement = f"""
    MERGE INTO ledger_entries AS e
    USING (VALUES {_entry(journal_id, books, 3, 100, 0)}, {_entry(journal_id, books, 4, 0, 100)})
        AS n (journal_id, merchant_id, line, account_code, debit_minor, credit_minor)
    ON e.journal_id = n.journal_id AND e.line = n.line
    WHEN NOT MATCHED THEN INSERT ({", ".join(COLUMNS)})
        VALUES (n.journal_id, n.merchant_id, n.line, n.account_code, n.debit_minor, n.credit_minor)
    """
    assert await books.refused(statement) == "ledger_journals_balance"


@pytest.mark.parametrize("table", ["ledger_journals", "ledger_entries"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET merchant_id = merchant_id",
        "UPDATE {} SET merchant_id = merchant_id WHERE false",
        "DELETE FROM {}",
        "TRUNCATE {} CASCADE",
    ],
)
async def test_what_was_posted_is_never_changed(books: Books, table: str, statement: str) -> None:
    await books.journal(await books.payment("captured"))
    assert await books.refused(statement.format(table)) == "ledger_append_only"


@pytest.mark.parametrize("statement", ["DELETE FROM ledger_balances", "TRUNCATE ledger_balances"])
async def test_balances_are_never_deleted(books: Books, statement: str) -> None:
    assert await books.refused(statement) == "ledger_append_only"


async def test_balance_below_zero_on_a_side_is_refused(books: Books) -> None:
    statement = "INSERT INTO ledger_balances VALUES ($1, 'USD', 'cash', -1, 0, now())"
    assert await books.refused(statement, books.merchant_id) == "ledger_balances_debit_minor_check"


async def test_second_journal_of_one_fact_is_refused(books: Books) -> None:
    payment_id = await books.payment("captured")
    await books.journal(payment_id)
    statement, *parameters = posting(books.merchant_id, payment_id)
    assert await books.refused(statement, *parameters) in ("ledger_journals_pkey", "ledger_entries_pkey")


@pytest.mark.parametrize("byte", range(16))
async def test_second_journal_of_one_fact_is_refused_under_any_other_id(books: Books, byte: int) -> None:
    payment_id = await books.payment("captured")
    journal_id = bytearray((await books.journal(payment_id)).bytes)
    journal_id[byte] ^= 1
    statement, *parameters = posting(books.merchant_id, payment_id, journal_id=UUID(bytes=bytes(journal_id)))
    assert await books.refused(statement, *parameters) == "ledger_journals_natural_key"


async def test_null_payment_does_not_let_a_fact_in_twice(books: Books) -> None:
    statement, *parameters = posting(books.merchant_id, None)
    await books.run(statement, *parameters)
    statement, *parameters = posting(books.merchant_id, None)
    assert await books.refused(statement, *parameters) == "ledger_journals_without_payment"


async def test_journal_of_another_merchants_payment_is_refused(books: Books) -> None:
    theirs = await books.payment("captured", books.other_id)
    statement, *parameters = posting(books.merchant_id, theirs)
    assert await books.refused(statement, *parameters) == "ledger_journals_payment"


def _entry(journal_id: UUID, books: Books, line: int, debit_minor: int, credit_minor: int) -> str:
    return f"('{journal_id}'::uuid, '{books.merchant_id}'::uuid, {line}, 'cash', {debit_minor}, {credit_minor})"
