"""An operator at the keyboard: merchants are suspended, closed and activated, keys made, listed and revoked."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.platform import Platform, running_platform
from tests.support.processes import bezant


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    with running_platform(database_url, tmp_path / "home") as platform:
        yield platform


def told(platform: Platform, *arguments: str) -> str:
    with bezant(*arguments, env=platform.env) as process:
        assert process.wait(60) == 0, process.output()
        return process.output()


def test_suspended_takes_no_payments_but_gives_money_back(platform: Platform):
    shop = platform.merchant()
    named = ("--merchant", shop.merchant_id)
    paid = shop.create()["payment_id"]
    assert told(platform, "merchant", "suspend", *named) == f"{shop.merchant_id} is suspended\n"
    assert shop.create().code == "merchant_inactive"
    assert shop.do(paid, "refunds", value=100).status == 200
    told(platform, "merchant", "close", *named)
    assert shop.do(paid, "refunds", value=100).code == "merchant_inactive"
    assert shop.payment(paid)["amounts"]["refunded"] == 100
    told(platform, "merchant", "activate", *named)
    assert shop.create().status == 200


def test_key_with_one_scope_is_listed_without_itself(platform: Platform):
    shop = platform.merchant()
    named = ("--merchant", shop.merchant_id)
    made = json.loads(told(platform, "key", "create", *named, "--scope", "payments:read", "--json"))
    assert shop.get("/payments", bearer=made["key"]).status == 200
    assert shop.create(bearer=made["key"]).code == "forbidden"
    listed = told(platform, "key", "list", *named)
    assert made["key_id"] in listed
    assert made["key"] not in listed
    assert "payments:read" in listed
    assert "revoked" not in listed
    told(platform, "key", "revoke", *named, made["key_id"])
    assert "revoked" in told(platform, "key", "list", *named)


def test_the_operator_has_keys_of_its_own_that_no_merchant_can_have(platform: Platform):
    shop = platform.merchant()
    made = json.loads(told(platform, "key", "create", "--merchant", "operator", "--json"))
    assert shop.get("/reconciliation/files", bearer=made["key"]).status == 200
    assert shop.get("/reconciliation/files").code == "forbidden"
    assert shop.create(bearer=made["key"]).code == "forbidden"
    assert "reconciliation:write" in told(platform, "key", "list", "--merchant", "operator")
    wanted = ("--merchant", shop.merchant_id, "--scope", "reconciliation:read")
    with bezant("key", "create", *wanted, env=platform.env) as process:
        assert process.wait(60) == 1
        assert "Unknown scope reconciliation:read" in process.output()
    told(platform, "key", "revoke", "--merchant", "operator", made["key_id"])


@pytest.mark.parametrize("command", ["suspend", "close", "activate"])
def test_merchant_that_does_not_exist(command: str, platform: Platform):
    with bezant("merchant", command, "--merchant", f"mer_{'0' * 32}", env=platform.env) as process:
        assert (process.wait(60), process.output()) == (1, f"error: There is no merchant 'mer_{'0' * 32}'.\n")
