"""One small platform per module: the simulator and an API process; each test is a new merchant."""

from collections.abc import Iterator

import pytest

from tests.support.platform import Merchant, Platform, running_platform
from tests.support.verification import assert_verified


@pytest.fixture(scope="module")
def platform(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform that a module's tests share."""
    env = {"BEZANT_WEBHOOKS_ALLOW_NETWORKS": "127.0.0.0/8"}  # else no endpoint could be made on this machine
    with running_platform(module_database_url, tmp_path_factory.mktemp("home"), env=env) as platform:
        yield platform


@pytest.fixture(autouse=True)
def _verified(platform: Platform) -> Iterator[None]:
    """After each test everything that must hold does, re-derived from the rows."""
    yield
    assert_verified(platform.database_url)


@pytest.fixture
def shop(platform: Platform) -> Merchant:
    """A merchant of this test's own, who sells in USD."""
    return platform.merchant()
