"""Which brokers are used, in this order: those that the environment names, those of `make services`, those in
containers where there is a Docker engine, else ones that are started here and stopped with whoever uses them."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

from tests.support.brokers.daemon import Daemon, stop_daemons
from tests.support.brokers.docker import Containers
from tests.support.brokers.endpoints import Services
from tests.support.brokers.kafka import KafkaCluster
from tests.support.brokers.rabbitmq import RabbitMq

KAFKA_VARIABLE = "BEZANT_TEST_KAFKA_SERVERS"
RABBITMQ_VARIABLE = "BEZANT_TEST_RABBITMQ_URL"
_FILE = "services.json"


def shared_folder() -> Path:
    """Where `make services` keeps its brokers."""
    return Path(platformdirs.user_state_dir("bezant-services", appauthor=False))


def services_in_use(folder: Path) -> Services:
    """Brokers to work with; what has to be started lives below `folder`, until `stop_services`."""
    named = Services(os.environ.get(KAFKA_VARIABLE, ""), os.environ.get(RABBITMQ_VARIABLE, ""))
    if all(named):
        return named
    found = running(shared_folder()) or start_services(folder)
    return Services(named.kafka_servers or found.kafka_servers, named.rabbitmq_url or found.rabbitmq_url)


def running(folder: Path) -> Services | None:
    """The brokers that were started there, if they still run."""
    if (kept := _kept(folder)) is None:
        return None
    if kept["containers"]:
        is_up = Containers(kept["containers"]).are_running()
    else:
        is_up = all(Daemon(Path(path), name).pid is not None for path, name in kept["daemons"])
    return Services(kept["kafka_servers"], kept["rabbitmq_url"]) if is_up else None


def start_services(folder: Path) -> Services:
    """Start both brokers, or find them started; of several processes that ask at once one does it."""
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / "services.lock"):
        if (found := running(folder)) is not None:
            return found
        stop_services(folder)
        containers: list[str] = []
        daemons: list[tuple[str, str]] = []
        if has_docker():
            services, containers = Containers.start(folder.name)
        else:
            kafka, rabbitmq = KafkaCluster(folder / "kafka"), RabbitMq(folder / "rabbitmq")
            rabbitmq.start()
            kafka.start()
            services = Services(kafka.servers, rabbitmq.url)
            daemons = [(str(d.log.parent), d.name) for d in (*kafka.nodes, rabbitmq.node)]
        (folder / _FILE).write_text(json.dumps({**services._asdict(), "containers": containers, "daemons": daemons}))
        return services


def stop_services(folder: Path) -> None:
    """Stop what was started there and forget what it holds."""
    if (kept := _kept(folder)) is not None:
        Containers(kept["containers"]).stop()
    stop_daemons(folder)
    for name in ("kafka", "rabbitmq"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / _FILE).unlink(missing_ok=True)


def has_docker() -> bool:
    """Whether a Docker engine answers."""
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False)
    return asked.returncode == 0


def _kept(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / _FILE).read_text())
    except (OSError, ValueError):
        return None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
