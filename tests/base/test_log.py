"""Logs: no secret and no card number leaves, whoever logs it and however."""

import json
import logging
from collections.abc import Iterator
from uuid import UUID

import pytest
import structlog

from bezant.base import log
from bezant.base.config import LogStyle

SECRETS = {
    "secret key": "sk_live_51HxAbCdEfGh",
    "publishable key": "pk_test_51HxAbCdEfGh",
    "webhook secret": "whsec_C2FVsBQIhrscChlQIMV",
    "card number": "4242424242424242",
    "card number in groups": "4242 4242 4242 4242",
    "bearer": "Authorization: Bearer abcDEF123.456",
    "client secret": "pay_0190_secret_abcDEF123",
    "database url": "postgresql://bezant:abcDEF123@db/bezant",
    "field in text": "{'password': 'abcDEF123'}",
}
SPILLS = ("51HxAbCdEfGh", "C2FVsBQIhrscChlQIMV", "4242424242", "4242 4242", "abcDEF123")


@pytest.fixture(autouse=True)
def unconfigured_afterwards() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    log.unbind()
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


both_styles = pytest.mark.parametrize("style", ["json", "pretty"])


def written(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    return err


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_secret_is_redacted_wherever_it_stands(secret: str, capsys: pytest.CaptureFixture[str]):
    log.configure("json")
    logger = structlog.stdlib.get_logger("test")
    logger.info(secret)
    logger.info("value", value=secret)
    logger.info("nested", value={"list": [{"deep": (secret,)}], secret: 1})
    logger.info("bytes", value=secret.encode())
    logger.info("positional %s", secret)
    logging.getLogger("library").warning("text %s", secret)
    try:
        raise ValueError(secret)
    except ValueError:
        logger.exception("failed")
    text = written(capsys)
    assert len(text.splitlines()) == 7
    assert not [spill for spill in SPILLS if spill in text]


@both_styles
def test_tracebacks_are_redacted(style: LogStyle, capsys: pytest.CaptureFixture[str]):
    log.configure(style)
    try:
        raise ValueError(SECRETS["secret key"])
    except ValueError:
        structlog.stdlib.get_logger("test").exception("failed")
    text = written(capsys)
    assert "ValueError" in text
    assert "51HxAbCdEfGh" not in text


@pytest.mark.parametrize(
    "key", ["authorization", "Cookie", "db_password", "client_secret", "master_key", "api_key", "cvv", "card_number"]
)
@both_styles
def test_value_of_a_telling_key_is_redacted(style: LogStyle, key: str, capsys: pytest.CaptureFixture[str]):
    log.configure(style)
    structlog.stdlib.get_logger("test").info("event", **{key: "plainvalue"}, nested={key: {"deep": "plainvalue"}})
    text = written(capsys)
    assert "event" in text
    assert "plainvalue" not in text


def test_harmless_values_stay_as_they_are(capsys: pytest.CaptureFixture[str]):
    log.configure("json")
    fields = {
        "amount_minor": 999_999_999_999,
        "share": 0.5,
        "flag": True,
        "nothing": None,
        "payment_id": "pay_0190a6b7c8d97e0f8a1b2c3d4e5f6071",
        "idempotency_key": "order-123",
        "payment_method": "pm_card_visa",
        "times": [1, 2],
    }
    log.logger("test").info("event", uuid=UUID(int=1), **fields)
    line = json.loads(written(capsys))
    assert {name: line[name] for name in fields} == fields
    assert line["uuid"] == str(UUID(int=1))
    assert (line["event"], line["level"], line["logger"]) == ("event", "info", "test")


def test_number_that_is_a_card_number_is_redacted(capsys: pytest.CaptureFixture[str]):
    log.configure("json")
    structlog.stdlib.get_logger("test").info("event", reference=4242424242424242)
    text = written(capsys)
    assert "reference" in text
    assert "4242424242" not in text


def test_bound_ids_are_on_every_line_until_unbound(capsys: pytest.CaptureFixture[str]):
    log.configure("json")
    log.bind(request_id="req_1")
    log.logger("test").info("one")
    logging.getLogger("uvicorn.error").info("two")
    log.unbind()
    log.logger("test").info("three")
    lines = [json.loads(line) for line in written(capsys).splitlines()]
    assert [line.get("request_id") for line in lines] == ["req_1", "req_1", None]


class Unprintable:
    def __str__(self) -> str:
        raise ValueError(SECRETS["secret key"])


def test_line_that_cannot_be_rendered_is_dropped_without_a_word_of_it(capsys: pytest.CaptureFixture[str]):
    log.configure("json")
    log.logger("test").info(SECRETS["card number"], value=Unprintable())
    assert written(capsys) == "a log line of test could not be written\n"


def test_access_lines_of_the_server_are_dropped(capsys: pytest.CaptureFixture[str]):
    log.configure("json")
    logging.getLogger("uvicorn.access").info('127.0.0.1 - "GET /pay?client_secret=x" 200')
    logging.getLogger("uvicorn.error").info("still there")
    text = written(capsys)
    assert "GET" not in text
    assert "still there" in text
