"""A platform on which merchants may have accounts of their own before a witness of the keys in use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.accounts import Accountable, accountable
from tests.support.verification import assert_verified


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Iterator[Accountable]:
    """A platform of this test's own."""
    with accountable(database_url, tmp_path / "home") as place:
        yield place
        assert_verified(place.platform.database_url)
