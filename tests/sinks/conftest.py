"""A wire to each kind of receiver."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.brokers.endpoints import Services
from tests.support.receivers import Wire, kafka_wire, rabbitmq_wire, stdout_wire


@pytest_asyncio.fixture(params=["kafka", "rabbitmq", "stdout"])
async def wire(request: pytest.FixtureRequest) -> AsyncIterator[Wire]:
    if request.param == "stdout":
        async with stdout_wire() as made:
            yield made
        return
    brokers: Services = request.getfixturevalue("brokers")
    made = kafka_wire(brokers.kafka_servers) if request.param == "kafka" else rabbitmq_wire(brokers.rabbitmq_url)
    async with made as found:
        yield found
