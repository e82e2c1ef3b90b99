"""Which sinks the settings turn on, and what is refused at the start."""

from pathlib import Path

import pytest

from bezant.base.config import Settings
from bezant.base.errors import OperatorError
from bezant.sinks.configured import configured_sinks


def names(**variables: str) -> list[str]:
    return [sink.name for sink in configured_sinks(Settings.from_env(variables))]


def test_no_sink_is_on_unless_it_is_configured() -> None:
    assert names() == []


def test_each_variable_turns_on_its_sink() -> None:
    assert names(BEZANT_SINK_KAFKA_SERVERS="a.example:9092,b.example:9092") == ["kafka"]
    assert names(BEZANT_SINK_RABBITMQ_URL="amqps://user:secret@broker.example/payments") == ["rabbitmq"]
    assert names(BEZANT_SINK_STDOUT="on") == ["stdout"]
    assert names(BEZANT_SINK_STDOUT="off") == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BEZANT_SINK_KAFKA_SERVERS", "broker"),
        ("BEZANT_SINK_KAFKA_SERVERS", "kafka://broker:9092"),
        ("BEZANT_SINK_KAFKA_SERVERS", "a:9092, b:9092"),
        ("BEZANT_SINK_KAFKA_TOPIC", "no spaces"),
        ("BEZANT_SINK_RABBITMQ_URL", "http://broker"),
        ("BEZANT_SINK_RABBITMQ_URL", "amqp://user:hunter2@broker:port/"),
        ("BEZANT_SINK_RABBITMQ_QUEUE", ""),
        ("BEZANT_SINK_STDOUT", "yes"),
    ],
)
def test_value_that_cannot_be_meant_stops_the_start_and_is_not_repeated(variable: str, value: str) -> None:
    with pytest.raises(OperatorError, match=variable) as refused:
        Settings.from_env({variable: value})
    assert "hunter2" not in str(refused.value)


def test_file_of_options_reaches_the_kafka_client(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    kafka = {"BEZANT_SINK_KAFKA_SERVERS": "broker.example:9092", "BEZANT_SINK_KAFKA_CONFIG": str(file)}
    file.write_text("# TLS\n\nsecurity.protocol = SSL\nlinger.ms=5\n")
    assert names(**kafka) == ["kafka"]
    file.write_text("security.protocol=SSLish\n")
    with pytest.raises(OperatorError, match="not configured well"):
        names(**kafka)
    file.write_text("linger.ms=5\nsasl.password\n")
    with pytest.raises(OperatorError, match="line 2"):
        names(**kafka)
    file.write_text("acks=0\n")
    with pytest.raises(OperatorError, match="acks"):
        names(**kafka)
    file.unlink()
    with pytest.raises(OperatorError, match="cannot be read"):
        names(**kafka)
