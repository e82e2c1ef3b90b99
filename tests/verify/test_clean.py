"""Whatever went through the product itself verifies."""

from tests.support.verification import assert_verified


def test_everything_a_shop_did_verifies(traded: str) -> None:
    assert_verified(traded)


def test_an_empty_database_verifies(database_url: str) -> None:
    assert_verified(database_url)
