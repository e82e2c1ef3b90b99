"""A Kafka cluster in KRaft mode: every node is broker and controller."""

import base64
import os
import shutil
import subprocess
import uuid
from pathlib import Path

from tests.support.brokers.daemon import Daemon, wait_until_answers
from tests.support.brokers.endpoints import kafka_brokers
from tests.support.brokers.jars import kafka_jars
from tests.support.processes import free_port

# A broker that is gone is missed after 3 s: tests wait for that. Small thread pools and buffers.
_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
num.partitions=6
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.num.partitions=1
offsets.topic.replication.factor={replicas}
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
"""
_JAVA = (
    *("java", "-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
_START_S = 120.0


class KafkaCluster:
    """`brokers` nodes below `folder`. Topics are made when they are first used, with a replica on every node."""

    def __init__(self, folder: Path, brokers: int = 1) -> None:
        self._folder = folder
        self._ports = [(free_port(), free_port()) for _ in range(brokers)]
        self._made = False
        self.nodes = [Daemon(folder, f"kafka-{node}") for node in range(1, brokers + 1)]

    @property
    def servers(self) -> str:
        """Where clients begin."""
        return ",".join(f"127.0.0.1:{port}" for port, _ in self._ports)

    def start(self) -> None:
        """Start whatever does not run, and wait until all nodes have found each other."""
        classes = f"{kafka_jars()}/*"
        if not self._made:
            self._make(classes)
            self._made = True
        for node in self.nodes:
            if node.pid is None:
                properties = str(self._properties(node))
                node.start([*_JAVA, "-cp", classes, "kafka.Kafka", properties])
        wait_until_answers(self.nodes, lambda: kafka_brokers(self.servers) == len(self.nodes), _START_S, "Kafka")

    def stop(self) -> None:
        """Stop all nodes at once and forget what they hold."""
        for node in self.nodes:
            node.kill()
            node.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _properties(self, node: Daemon) -> Path:
        return self._folder / f"{node.name}.properties"

    def _make(self, classes: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        count = len(self.nodes)
        voters = ",".join(f"{n}@127.0.0.1:{port}" for n, (_, port) in enumerate(self._ports, 1))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        for number, (node, (port, controller_port)) in enumerate(zip(self.nodes, self._ports, strict=True), 1):
            self._properties(node).write_text(
                _PROPERTIES.format(
                    node=number,
                    voters=voters,
                    port=port,
                    controller_port=controller_port,
                    data=self._folder / f"data-{number}",
                    replicas=count,
                    in_sync=count // 2 + 1,
                )
            )
            done = subprocess.run(
                [
                    *(*_JAVA, "-cp", classes, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}"),
                    *("--config", str(self._properties(node))),
                ],
                capture_output=True,
                text=True,
                check=False,
                env=dict(os.environ),
            )
            assert done.returncode == 0, f"Kafka's storage could not be made:\n{done.stdout}{done.stderr}"
