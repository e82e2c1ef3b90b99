"""Logs: one structured line per event to stderr, with the ids of the request it belongs to and without secrets.

`logger(__name__).info("payment captured", amount_minor=4999)`. What `bind(request_id=...)` adds stays for everything
that the current task logs. Redaction runs last, over every key and value, so that no caller has to remember it; lines
of libraries that log through the standard library pass the same way.
"""

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from bezant.base.card_data import is_card_data_key, redact_card_data
from bezant.base.config import LogStyle

REDACTED: Final = "[redacted]"

_SECRET_KEYS: Final = re.compile(
    r"authorization|cookie|password|passwd|secret|token|credential|master_?key|api_?key$|signature$",
    re.IGNORECASE,
)
_SECRET_TEXTS: Final = (
    (re.compile(r"\b(?:sk|pk|rk|whsec)_[A-Za-z0-9_+/=-]{4,}"), REDACTED),
    (re.compile(r"(_secret_)[A-Za-z0-9_-]+"), rf"\1{REDACTED}"),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"(://[^\s:/@]*:)[^\s@/]+(@)"), rf"\1{REDACTED}\2"),
    (
        re.compile(r"((?:client_secret|password|api_key)[\"']?\s*[=:]\s*[\"']?)[^\s&\"',}]+", re.IGNORECASE),
        rf"\1{REDACTED}",
    ),
)
_DEPTH_MAX: Final = 8
_CARD_NUMBER_MIN: Final = 10**11

_SHARED: Final[list[Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
]


def configure(style: LogStyle) -> None:
    """Send everything this process logs to stderr, as JSON lines or for eyes. May be called again."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = _Handler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,  # before redaction: a traceback may quote a secret
                redact,
                _renderer(style),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # the request line is ours, with the request's id


def logger(name: str) -> FilteringBoundLogger:
    """The logger of a module."""
    return cast(FilteringBoundLogger, structlog.stdlib.get_logger(name))


def bind(**ids: str) -> None:
    """Add ids (`request_id`, `payment_id`, ...) to everything that the current task logs from here on."""
    structlog.contextvars.bind_contextvars(**ids)


def unbind() -> None:
    """Forget what the current task has bound."""
    structlog.contextvars.clear_contextvars()


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The last step before rendering: no secret and no card data in any key or value."""
    return cast(EventDict, _clean_mapping(event, 0))


def redact_text(text: str) -> str:
    """`text` without keys, secrets, passwords in URLs, credentials in headers, and card numbers."""
    for pattern, replacement in _SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return redact_card_data(text)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines; one that cannot be rendered or written is dropped, since the default would quote it unredacted."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        with suppress(OSError, ValueError):
            sys.stderr.write(f"a log line of {redact_text(record.name)} could not be written\n")


def _clean(value: object, depth: int) -> object:
    """`value` as plain data without secrets; what is nested deeper than anybody reads is left out."""
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < _CARD_NUMBER_MIN):
        return value
    if depth < _DEPTH_MAX and isinstance(value, Mapping):
        return _clean_mapping(cast(Mapping[object, object], value), depth)
    if depth < _DEPTH_MAX and isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, depth + 1) for item in cast(Iterable[object], value)]
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    text = redact_text(str(value))
    return value if isinstance(value, int) and text == str(value) else text


def _clean_mapping(fields: Mapping[object, object] | EventDict, depth: int) -> dict[str, object]:
    cleaned: dict[str, object] = {}
    for key, value in fields.items():
        name = str(key)
        is_secret = _SECRET_KEYS.search(name) is not None or is_card_data_key(name)
        cleaned[redact_text(name)] = REDACTED if is_secret else _clean(value, depth + 1)
    return cleaned


def _renderer(style: LogStyle) -> Processor:
    if style == "json":
        return structlog.processors.JSONRenderer(serializer=_json)
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), timestamp_key="at", exception_formatter=structlog.dev.plain_traceback
    )


def _json(event: EventDict, **_: object) -> str:
    return msgspec.json.encode(event).decode()
