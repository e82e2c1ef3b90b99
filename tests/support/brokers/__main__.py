"""`python -m tests.support.brokers up|down|status`: what `make services` runs."""

import sys

from tests.support.brokers.endpoints import Services
from tests.support.brokers.services import running, services_in_use, shared_folder, stop_services


def main(action: str) -> int:
    """Start, stop or show the brokers for development."""
    if action == "down":
        stop_services(shared_folder())
        return 0
    services = services_in_use(shared_folder()) if action == "up" else running(shared_folder())
    if services is None:
        print("no brokers run; start them with `make services`", file=sys.stderr)
        return 1
    print(variables(services))
    return 0


def variables(services: Services) -> str:
    """Lines for a shell: with them `bezant serve` tells both brokers."""
    return (
        f"export BEZANT_SINK_KAFKA_SERVERS={services.kafka_servers}\n"
        f"export BEZANT_SINK_RABBITMQ_URL={services.rabbitmq_url}"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in {"up", "down", "status"}:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
