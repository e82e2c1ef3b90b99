"""The brokers in containers, where a Docker engine is."""

import subprocess
from collections.abc import Sequence

from tests.support.brokers.endpoints import Services, wait_for_both
from tests.support.processes import free_port

KAFKA_IMAGE = "apache/kafka:4.1.1"
RABBITMQ_IMAGE = "rabbitmq:4"


class Containers:
    """Containers by their names."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    @classmethod
    def start(cls, suffix: str) -> tuple[Services, list[str]]:
        """Run both, published on free ports of this machine; what they hold ends with them."""
        kafka_port, rabbitmq_port = free_port(), free_port()
        names = [f"bezant-kafka-{suffix}-{kafka_port}", f"bezant-rabbitmq-{suffix}-{rabbitmq_port}"]
        kafka = {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_LISTENERS": f"PLAINTEXT://:{kafka_port},CONTROLLER://:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{kafka_port}",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "KAFKA_NUM_PARTITIONS": "6",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        }
        _run(names[0], KAFKA_IMAGE, kafka_port, kafka_port, kafka)
        _run(names[1], RABBITMQ_IMAGE, rabbitmq_port, 5672, {})
        services = Services(f"127.0.0.1:{kafka_port}", f"amqp://guest:guest@127.0.0.1:{rabbitmq_port}/")
        wait_for_both(services)
        return services, names

    def are_running(self) -> bool:
        """Whether all of them are up."""
        asked = subprocess.run(
            ["docker", "inspect", "--format", "{{.State.Running}}", *self._names],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return asked.stdout.split() == ["true"] * len(self._names)

    def stop(self) -> None:
        """Remove them."""
        if self._names:
            subprocess.run(["docker", "rm", "--force", *self._names], capture_output=True, check=False)


def _run(name: str, image: str, port: int, inner_port: int, env: dict[str, str]) -> None:
    variables = [part for key, value in env.items() for part in ("--env", f"{key}={value}")]
    published = f"127.0.0.1:{port}:{inner_port}"
    done = subprocess.run(
        ["docker", "run", "--detach", "--rm", "--name", name, "--publish", published, *variables, image],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"Docker could not run {image}:\n{done.stderr}"
