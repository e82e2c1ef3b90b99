"""One small platform per module: the simulator and two API processes on one database; each test is a new merchant."""

from collections.abc import Iterator

import pytest

from tests.support.platform import Merchant, Platform, running_platform


@pytest.fixture(scope="module")
def platform(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform that a module's tests share."""
    with running_platform(module_database_url, tmp_path_factory.mktemp("home"), apis=2) as platform:
        yield platform


@pytest.fixture
def shop(platform: Platform) -> Merchant:
    """A merchant of this test's own, who sells in USD."""
    return platform.merchant()
