"""The sinks that the settings turn on."""

from pathlib import Path

from bezant.base.config import Settings
from bezant.base.errors import OperatorError
from bezant.sinks.contract import Sink
from bezant.sinks.kafka import KafkaSink
from bezant.sinks.rabbitmq import RabbitMqSink
from bezant.sinks.stdout import StdoutSink


def configured_sinks(settings: Settings) -> tuple[Sink, ...]:
    """One of each kind that is configured. Raises OperatorError for a configuration that cannot work."""
    sinks: list[Sink] = []
    if settings.sink_kafka_servers is not None:
        options = _options(settings.sink_kafka_config)
        sinks.append(KafkaSink(settings.sink_kafka_servers, settings.sink_kafka_topic, options))
    if settings.sink_rabbitmq_url is not None:
        sinks.append(
            RabbitMqSink(settings.sink_rabbitmq_url, settings.sink_rabbitmq_exchange, settings.sink_rabbitmq_queue)
        )
    if settings.sink_stdout:
        sinks.append(StdoutSink())
    return tuple(sinks)


def _options(path: Path | None) -> dict[str, str]:
    """`name=value` lines of a file; empty ones and those that begin with # are left out."""
    if path is None:
        return {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"BEZANT_SINK_KAFKA_CONFIG: {path} cannot be read: {error}.") from error
    options: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise OperatorError(f"BEZANT_SINK_KAFKA_CONFIG: line {number} of {path} is not of the form name=value.")
        options[name.strip()] = value.strip()
    return options
