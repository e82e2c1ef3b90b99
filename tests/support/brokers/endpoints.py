"""Where brokers are, and whether they answer."""

import socket
from typing import NamedTuple
from urllib.parse import urlsplit

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.support.waiting import wait_until

_START_S = 120.0


class Services(NamedTuple):
    """The addresses of both."""

    kafka_servers: str
    rabbitmq_url: str


def kafka_brokers(servers: str) -> int:
    """How many brokers the cluster says it has; 0 where nobody answers."""
    try:
        return len(AdminClient({"bootstrap.servers": servers, "log_level": 0}).list_topics(timeout=2).brokers)
    except KafkaException:
        return 0


def speaks_amqp(url: str) -> bool:
    """Whether the port answers the protocol's greeting with a method frame."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname, parts.port or 5672), timeout=2) as line:
            line.sendall(b"AMQP\x00\x00\x09\x01")
            return line.recv(1) == b"\x01"
    except OSError:
        return False


def wait_for_both(services: Services) -> None:
    """Wait until clients can work with them."""
    wait_until(lambda: speaks_amqp(services.rabbitmq_url), _START_S, "RabbitMQ")
    wait_until(lambda: kafka_brokers(services.kafka_servers) > 0, _START_S, "Kafka")
