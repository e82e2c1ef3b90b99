"""A RabbitMQ node: Debian's `rabbitmq-server`, started by us in a folder of its own, with an epmd of its own."""

import shutil
import socket
from pathlib import Path

from tests.support.brokers.daemon import Daemon, wait_until_answers
from tests.support.brokers.endpoints import speaks_amqp
from tests.support.processes import free_port

_SERVERS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")
_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
raft.wal_max_size_bytes = 33554432
log.console = true
log.console.level = warning
log.file = false
"""
_START_S = 90.0


class RabbitMq:
    """One node below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._epmd_port, self._distribution_port = free_port(), free_port(), free_port()
        self._epmd = Daemon(folder, "epmd")
        self.node = Daemon(folder, "rabbitmq")

    @property
    def url(self) -> str:
        """With its default user, whom it lets in from this machine only."""
        return f"amqp://guest:guest@127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Start what does not run, and wait until it speaks AMQP."""
        server = next((path for path in map(shutil.which, _SERVERS) if path), None)
        assert server, "RabbitMQ is not installed: install Debian's rabbitmq-server or set BEZANT_TEST_RABBITMQ_URL"
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "rabbitmq.conf").write_text(_CONFIGURATION.format(port=self._port))
        (self._folder / "plugins").write_text("[].")
        env = self._environment()
        if self._epmd.pid is None:
            self._epmd.start(["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"], env)
            wait_until_answers([self._epmd], lambda: _listens(self._epmd_port), _START_S, "epmd")
        if self.node.pid is None:
            self.node.start([server], env)
        wait_until_answers([self.node], lambda: speaks_amqp(self.url), _START_S, "RabbitMQ")

    def stop(self) -> None:
        """Stop it and forget what it holds."""
        self.node.kill()
        self.node.stop()
        self._epmd.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            "HOME": folder,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"bezant-{self._port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/rabbitmq.own.pid.txt",
            # Waiting schedulers sleep instead of spinning.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True
