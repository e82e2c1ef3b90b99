"""One sample server for all tests of this folder that do not need their own."""

from collections.abc import Iterator

import pytest

from tests.web.sample import Client, Gates, serving


@pytest.fixture(scope="session")
def api() -> Iterator[Client]:
    with serving(Gates()) as client:
        yield client
