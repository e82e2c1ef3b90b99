"""What an operator does with accounts: each change sealed and audited, each mistake one line that repeats no secret."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from bezant.audit.record import By
from bezant.base.db import Database
from bezant.base.errors import OperatorError
from bezant.base.master_key import derived
from bezant.base.sealed import Sealer
from bezant.merchants.service import Merchants
from bezant.psp.account_secrets import AccountSecrets, fields_of
from bezant.psp.desk import AccountDesk
from bezant.sealing.rotate import rotate
from bezant.supported import CONNECTORS
from tests.support.platform import MASTER_KEY
from tests.support.verification import TEST_SEALER, assert_verified_async

KEY, NEXT_KEY = "sim_acme_0123456789", "sim_acme_next_0123456789"
WEBHOOK, NEXT_WEBHOOK = "whsec_0123456789abcdef", "whsec_next_0123456789abcdef"
BY = By("os:somebody", "the merchant asked for it")
NAME_RULE = "A name has 1 to 63 of a to z, 0 to 9, - and _, and does not begin with - or _."


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, connections_max=2)
    await database.open()
    yield database
    await database.close()
    await assert_verified_async(database_url)


@pytest.fixture
def desk(database: Database) -> AccountDesk:
    return AccountDesk(database, CONNECTORS, TEST_SEALER)


@pytest.fixture
async def merchant(database: Database) -> str:
    return (await Merchants(database, 100).create("Acme", "USD", "simulator")).merchant_id


async def audited(database: Database) -> list[tuple[str, str, Any]]:
    """(action, subject, detail) of every record, in order, all by the same person for the same reason."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT actor, reason, action, subject, detail FROM audit_log ORDER BY id")
    assert {(row[0], row[1]) for row in rows} <= {(BY.actor, BY.reason)}
    return [(row[2], row[3], msgspec.json.decode(row[4])) for row in rows]


async def dumped(database: Database) -> str:
    """Everything that stands in the tables concerned."""
    async with database.connection() as connection:
        return await connection.fetchval(
            "SELECT (SELECT string_agg(a::text, ' ') FROM psp_accounts AS a)"
            " || (SELECT string_agg(l::text, ' ') FROM audit_log AS l)"
        )


async def test_each_change_is_audited_and_no_secret_is_readable_anywhere(
    desk: AccountDesk, database: Database, merchant: str
) -> None:
    made = await desk.create("acme", "simulator", merchant, AccountSecrets({"api_key": KEY}, (WEBHOOK,)), BY)
    (former,) = made.webhook_secrets
    await desk.rotate_credentials("acme", {"api_key": NEXT_KEY}, BY)
    added = await desk.add_webhook_secret("acme", NEXT_WEBHOOK, BY)
    newest = added.webhook_secrets[0]
    assert added.webhook_secrets == [newest, former]
    removed = await desk.remove_webhook_secret("acme", former, BY)
    assert (removed.webhook_secrets, removed.credentials, removed.opens) == ([newest], ["api_key"], True)
    assert (await desk.close("acme", BY)).status == "closed"

    names = {"name": "acme", "psp": "simulator"}
    assert await audited(database) == [
        ("create_psp_account", made.account_id, names | {"fields": ["api_key"], "webhook_secrets": [former]}),
        ("rotate_psp_credentials", made.account_id, names | {"changed": ["api_key"]}),
        ("add_psp_webhook_secret", made.account_id, names | {"fingerprint": newest}),
        ("remove_psp_webhook_secret", made.account_id, names | {"fingerprint": former}),
        ("close_psp_account", made.account_id, names),
    ]
    dump = await dumped(database)
    for secret in (KEY, NEXT_KEY, WEBHOOK, NEXT_WEBHOOK):
        assert secret not in dump
        assert secret.encode().hex() not in dump
        assert secret not in repr(await desk.account("acme"))


async def test_a_refused_change_changes_nothing_and_is_not_audited(
    desk: AccountDesk, database: Database, merchant: str
) -> None:
    await desk.create("acme", "stripe", merchant, AccountSecrets({"secret_key": "sk_test_acme"}), BY)
    before = (await desk.account("acme"), await audited(database), await dumped(database))
    refused = [
        desk.rotate_credentials("acme", {"api_key": KEY}, BY),
        desk.rotate_credentials("acme", {}, BY),
        desk.add_webhook_secret("acme", "short", BY),
        desk.remove_webhook_secret("acme", "000000000000", BY),
        desk.close("nobody", BY),
    ]
    for change in refused:
        with pytest.raises(OperatorError):
            await change
    assert (await desk.account("acme"), await audited(database), await dumped(database)) == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"merchant": f"mer_{'0' * 32}"}, f"There is no merchant 'mer_{'0' * 32}'."),
        ({"merchant": "acme"}, "There is no merchant 'acme'."),
        ({"psp": "paypal"}, "There is no PSP 'paypal'; known: simulator, stripe."),
        ({"name": "Acme"}, NAME_RULE),
        ({"name": "../acme"}, NAME_RULE),
        ({"name": ""}, NAME_RULE),
        ({"name": "a" * 64}, NAME_RULE),
        ({"credentials": {"secret_key": "sim_a"}}, "Simulator takes no 'secret_key'; it takes api_key."),
        ({"credentials": {"api_key": ""}}, "api_key must be 1 to 4,096 printable characters without spaces."),
        ({"credentials": {"api_key": "sim_a b"}}, "api_key must be 1 to 4,096 printable characters without spaces."),
        ({"credentials": {"api_key": "a\r\nX: y"}}, "api_key must be 1 to 4,096 printable characters without spaces."),
        ({"credentials": {"api_key": "é"}}, "api_key must be 1 to 4,096 printable characters without spaces."),
        ({"psp": "stripe"}, "Stripe needs secret_key; missing: secret_key."),
        ({"webhook_secrets": ("short",)}, "A webhook secret has at least 16 printable characters without spaces."),
        ({"webhook_secrets": (WEBHOOK, WEBHOOK)}, "An account has at most 8 webhook secrets, each once."),
    ],
)
async def test_a_mistake_is_one_line(desk: AccountDesk, merchant: str, changed: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"name": "acme", "psp": "simulator", "merchant": merchant, **changed}
    secrets = AccountSecrets(given.pop("credentials", {}), given.pop("webhook_secrets", ()))
    with pytest.raises(OperatorError) as refused:
        await desk.create(given["name"], given["psp"], given["merchant"], secrets, BY)
    assert str(refused.value) == message
    assert await desk.accounts(None) == []


@pytest.mark.parametrize("reason", ["", "x", "x" * 501])
def test_a_change_without_a_reason_is_refused(reason: str) -> None:
    with pytest.raises(OperatorError, match=r"A reason has 3 to 500 characters\."):
        By("os:somebody", reason)


async def test_names_and_active_accounts_are_one_of_a_kind(
    desk: AccountDesk, database: Database, merchant: str
) -> None:
    other = (await Merchants(database, 100).create("Other", "USD", "simulator")).merchant_id
    await desk.create("acme", "simulator", merchant, AccountSecrets({}), BY)
    with pytest.raises(OperatorError, match=r"The name is taken"):
        await desk.create("acme", "simulator", other, AccountSecrets({}), BY)
    with pytest.raises(OperatorError, match=r"The merchant has an active account at this PSP"):
        await desk.create("acme-2", "simulator", merchant, AccountSecrets({}), BY)
    await desk.create("acme-stripe", "stripe", merchant, AccountSecrets({"secret_key": "sk_test_acme"}), BY)
    await desk.close("acme", BY)
    with pytest.raises(OperatorError, match=r"acme is closed already\."):
        await desk.close("acme", BY)
    await desk.create("acme-2", "simulator", merchant, AccountSecrets({}), BY)
    assert [view.name for view in await desk.accounts(merchant)] == ["acme", "acme-2", "acme-stripe"]
    assert await desk.accounts(other) == []


async def test_webhook_secrets_are_bounded_and_each_stands_once(desk: AccountDesk, merchant: str) -> None:
    await desk.create("acme", "simulator", merchant, AccountSecrets({}, (WEBHOOK,)), BY)
    with pytest.raises(OperatorError, match=r"has this webhook secret already"):
        await desk.add_webhook_secret("acme", WEBHOOK, BY)
    for number in range(7):
        await desk.add_webhook_secret("acme", f"{WEBHOOK}{number}", BY)
    with pytest.raises(OperatorError, match=r"has 8 webhook secrets; remove one first"):
        await desk.add_webhook_secret("acme", NEXT_WEBHOOK, BY)


async def test_an_equal_webhook_secret_of_another_account_has_another_fingerprint(
    desk: AccountDesk, database: Database, merchant: str
) -> None:
    other = (await Merchants(database, 100).create("Other", "USD", "simulator")).merchant_id
    first = await desk.create("first", "simulator", merchant, AccountSecrets({}, (WEBHOOK,)), BY)
    second = await desk.create("second", "simulator", other, AccountSecrets({}, (WEBHOOK,)), BY)
    assert first.webhook_secrets != second.webhook_secrets


async def test_what_does_not_open_is_shown_so_and_replaced_only_on_demand(
    desk: AccountDesk, database: Database, merchant: str
) -> None:
    lost = AccountDesk(database, CONNECTORS, Sealer([derived("lost" * 16)]))
    await lost.create("acme", "simulator", merchant, AccountSecrets({"api_key": KEY}, (WEBHOOK,)), BY)
    shown = await desk.account("acme")
    assert (shown.opens, shown.credentials, shown.webhook_secrets) == (False, [], [])
    with pytest.raises(OperatorError, match=r"What acme keeps does not open: .* not given\."):
        await desk.rotate_credentials("acme", {"api_key": NEXT_KEY}, BY)
    with pytest.raises(OperatorError, match=r"does not open"):
        await desk.add_webhook_secret("acme", NEXT_WEBHOOK, BY)
    replaced = await desk.rotate_credentials("acme", {"api_key": NEXT_KEY}, BY, discard=True)
    assert (replaced.opens, replaced.credentials, replaced.webhook_secrets) == (True, ["api_key"], [])


async def test_a_master_key_that_opens_nothing_makes_no_account(
    desk: AccountDesk, database: Database, merchant: str
) -> None:
    """In a shell with another key than the servers', what is sealed would be of no use to them."""
    other = (await Merchants(database, 100).create("Other", "USD", "simulator")).merchant_id
    strange = AccountDesk(database, CONNECTORS, Sealer([derived("strange" * 16)]))
    await desk.create("acme", "simulator", merchant, AccountSecrets({}), BY)
    with pytest.raises(OperatorError, match=r"No account opens with the master key that is given here"):
        await strange.create("other", "simulator", other, AccountSecrets({}), BY)
    rotating = AccountDesk(database, CONNECTORS, Sealer([derived("next" * 16), derived(MASTER_KEY)]))
    made = await rotating.create("other", "simulator", other, AccountSecrets({}), BY)
    await rotate(database, TEST_SEALER, lambda _: None)
    assert made.key_id not in TEST_SEALER.key_ids
    await rotate(database, Sealer([derived(MASTER_KEY), derived("next" * 16)]), lambda _: None)


async def test_an_account_is_neither_deleted_nor_moved_nor_opened_again(
    desk: AccountDesk, database: Database, merchant: str
) -> None:
    await desk.create("acme", "simulator", merchant, AccountSecrets({}), BY)
    await desk.close("acme", BY)
    statements = {
        "DELETE FROM psp_accounts": "never deleted",
        "TRUNCATE psp_accounts CASCADE": "never deleted",
        "UPDATE psp_accounts SET status = 'active'": "is closed",
        "UPDATE psp_accounts SET name = 'other'": "identity",
        "UPDATE psp_accounts SET psp = 'stripe'": "identity",
        "DELETE FROM audit_log": "never deleted",
    }
    for statement, message in statements.items():
        async with database.connection() as connection:
            with pytest.raises(Exception, match=message):
                await connection.execute(statement)
    assert len(await desk.accounts(None)) == 1


@pytest.mark.parametrize(
    ("text", "line"), [("api_key", 1), ("\n# so\napi_key=a\napi_key=b", 4), ("=a", 1), ("api key=a", 1), ("{}", 1)]
)
def test_lines_that_are_no_fields_are_named_without_what_they_hold(text: str, line: int) -> None:
    with pytest.raises(OperatorError, match=rf"^Line {line} of the secrets is not a field of its own"):
        fields_of(text)


def test_fields_may_hold_equal_signs_and_stand_apart() -> None:
    assert fields_of(" secret_key = sk_=a=\r\n\n# none\nwebhook_secret=a, b\n") == {
        "secret_key": "sk_=a=",
        "webhook_secret": "a, b",
    }
