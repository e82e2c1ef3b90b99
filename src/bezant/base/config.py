"""Configuration: the environment variables `BEZANT_*`, read once at the start, and nothing else.

A name that is not known or a value that cannot be used stops the start with a message that says which variable and what
would be right. Values are never repeated in messages, since any of them may be a secret.
"""

import difflib
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final, Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

import platformdirs

from bezant.base.errors import OperatorError
from bezant.base.master_key import KEY_LENGTH_MIN, MasterKeys, derived, kept_keys

T = TypeVar("T")
LogStyle = Literal["json", "pretty"]

IDEMPOTENCY_RETENTION_DAYS_MIN: Final = 30
INBOX_RETENTION_DAYS_MIN: Final = 30
_PSP_VARIABLE: Final = re.compile(r"BEZANT_PSP_(?!TIMEOUT|CONCURRENCY)([A-Z0-9]+)_([A-Z0-9_]+)")
_TEST_SUITE_PREFIX: Final = "BEZANT_TEST_"  # read by the tests only; the processes they start inherit it


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says. Field names are the variables' names without `BEZANT_`, in lower case."""

    home: Path
    database_url: str | None = field(default=None, repr=False)
    master_key: str | None = field(default=None, repr=False)
    master_key_old: str | None = field(default=None, repr=False)
    psp_urls: Mapping[str, str] = field(default_factory=dict[str, str])
    psp_credentials: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]], repr=False)
    log: LogStyle = "pretty"
    jobs: bool = True
    psp_timeout_s: float = 10.0
    psp_concurrency: int = 256
    rate_limit_per_s: int = 1000
    authorize_window_s: int = 600
    authorization_age_s: int = 604_800
    action_age_s: int = 86_400
    idempotency_retention_days: int = IDEMPOTENCY_RETENTION_DAYS_MIN
    inbox_retention_days: int = 90
    inbox_rate_limit_per_s: int = 5_000
    reconciliation_interval_s: float = 300.0
    reconciliation_skew_hours: int = 72
    reconciliation_deposit_skew_hours: int = 168
    reconciliation_fees: Mapping[str, tuple[tuple[str, int, int], ...]] = field(
        default_factory=dict[str, tuple[tuple[str, int, int], ...]]
    )
    webhooks_allow_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    webhooks_retention_days: int = 30
    webhooks_timeout_s: float = 10.0
    sync_interval_s: float = 1.0
    database_pool_max: int = 8
    sink_kafka_servers: str | None = None
    sink_kafka_topic: str = "bezant.events"
    sink_kafka_config: Path | None = None
    sink_rabbitmq_url: str | None = field(default=None, repr=False)
    sink_rabbitmq_exchange: str = "bezant.events"
    sink_rabbitmq_queue: str | None = None
    sink_stdout: bool = False
    report_file_max_mib: int = 1_024
    reports_dir: Path | None = None
    bank_csv: Path | None = None
    reports_pull_s: float = 60.0
    failpoints: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """The settings in `environ` (default: this process's). Raises OperatorError on anything not understood."""
        values: dict[str, Any] = {}
        psp_urls: dict[str, str] = {}
        psp_credentials: dict[str, dict[str, str]] = {}
        for variable, text in (os.environ if environ is None else environ).items():
            if not variable.startswith("BEZANT_") or variable.startswith(_TEST_SUITE_PREFIX):
                continue
            if parse := _VARIABLES.get(variable):
                values[_field(variable)] = _parsed(variable, text, parse)
            elif match := _PSP_VARIABLE.fullmatch(variable):
                psp, name = match.group(1).lower(), match.group(2).lower()
                if name == "url":
                    psp_urls[psp] = _parsed(variable, text, _http_url)
                else:
                    psp_credentials.setdefault(psp, {})[name] = _parsed(variable, text, _not_empty)
            else:
                raise OperatorError(_unknown(variable))
        values.setdefault("home", default_home())
        return cls(**values, psp_urls=psp_urls, psp_credentials=psp_credentials)

    def master_keys(self) -> MasterKeys:
        """The keys from which secrets are derived and with which stored credentials are encrypted, newest first.

        With the embedded database and no BEZANT_MASTER_KEY the key is made once and kept beside the data. An external
        database may be shared by several machines, whose keys must agree: there the operator has to give it.
        BEZANT_MASTER_KEY_OLD is accepted besides.
        """
        old = [] if self.master_key_old is None else [self.master_key_old]
        if self.master_key is not None:
            return MasterKeys.given([derived(text) for text in (self.master_key, *old)])
        path = self.kept_master_key
        if path is None:
            raise OperatorError(
                "BEZANT_MASTER_KEY is missing. With BEZANT_DATABASE_URL set, give every process the same key of at "
                f"least {KEY_LENGTH_MIN} characters, e.g. from `openssl rand -hex 32`, and keep a copy safe."
            )
        return MasterKeys(lambda: [derived(text) for text in (*kept_keys(path), *old)], path)

    def master_key_bytes(self) -> bytes:
        """The newest of them."""
        return self.master_keys().keys[0]

    @property
    def kept_master_key(self) -> Path | None:
        """The file of the master key, where it is kept beside the embedded database."""
        is_given = self.master_key is not None or self.database_url is not None
        return None if is_given else self.home / "master.key"


def default_home() -> Path:
    """Where local state lives without BEZANT_HOME: `/var/lib/bezant` for root, else the user's data folder."""
    if os.geteuid() == 0:
        return Path("/var/lib/bezant")
    return Path(platformdirs.user_data_dir("bezant", appauthor=False))


def _field(variable: str) -> str:
    return variable.removeprefix("BEZANT_").lower()


def _parsed(variable: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise OperatorError(f"{variable} {error}.") from None


def _unknown(variable: str) -> str:
    known = [*_VARIABLES, "BEZANT_PSP_SIMULATOR_URL", "BEZANT_PSP_STRIPE_URL", "BEZANT_PSP_STRIPE_SECRET_KEY"]
    close = difflib.get_close_matches(variable, known, n=2, cutoff=0.75)
    if close:
        return f"{variable} is not a known variable. Did you mean {' or '.join(close)}?"
    return f"{variable} is not a known variable. Known are {', '.join(_VARIABLES)} and BEZANT_PSP_<NAME>_<FIELD>."


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; give it a value or unset it")
    return text


def _folder(text: str) -> Path:
    return Path(_not_empty(text)).expanduser().absolute()


def _database_url(text: str) -> str:
    parts = _split_url(text)
    if parts is None or parts.scheme not in {"postgresql", "postgres"}:
        raise ValueError("must look like postgresql://user:password@host:5432/database")
    return text


def _http_url(text: str) -> str:
    parts = _split_url(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must look like https://host or http://host:port, without query")
    return text.rstrip("/")


def _amqp_url(text: str) -> str:
    parts = _split_url(text)
    if parts is None or parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
        raise ValueError("must look like amqp://user:password@host:5672/vhost, or amqps:// for TLS")
    return text


def _host_ports(text: str) -> str:
    if not re.fullmatch(r"[^\s:,/]+:[0-9]{1,5}(,[^\s:,/]+:[0-9]{1,5})*", text):
        raise ValueError("must look like host:9092, or several separated by commas")
    return text


def _broker_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", text):
        raise ValueError("takes letters, digits, dots, underscores and hyphens, 200 at most")
    return text


def _split_url(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for a port that is not a number
    except ValueError:
        return None
    return parts


def _master_key(text: str) -> str:
    if len(text) < KEY_LENGTH_MIN:
        raise ValueError(f"must have at least {KEY_LENGTH_MIN} characters, e.g. from `openssl rand -hex 32`")
    return text


def _one_of(choices: Mapping[str, T]) -> Callable[[str], T]:
    def parse(text: str) -> T:
        if text not in choices:
            raise ValueError(f"must be {' or '.join(choices)}")
        return choices[text]

    return parse


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"must be a number of seconds from {low:g} to {high:g}")
        return value

    return parse


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("must be networks such as 10.1.0.0/16,fd00:1::/32, without host bits") from None


def _fees(text: str) -> Mapping[str, tuple[tuple[str, int, int], ...]]:
    """Agreed with PSPs: by PSP, (currency, basis points, fixed part in minor units)."""
    found: dict[str, tuple[tuple[str, int, int], ...]] = {}
    for part in text.split(","):
        agreed = re.fullmatch(r"([a-z0-9_]{1,40})/([A-Z]{3})=(\d{1,4})\+(\d{1,9})", part.strip())
        if agreed is None:
            raise ValueError("must be fees such as stripe/EUR=140+25,stripe/USD=290+30: basis points + minor units")
        psp, currency, basis_points, fixed_minor = agreed.groups()
        found[psp] = (*found.get(psp, ()), (currency, int(basis_points), int(fixed_minor)))
    return found


_DAY_S: Final = 86_400
_VARIABLES: Final[dict[str, Callable[[str], object]]] = {
    "BEZANT_HOME": _folder,
    "BEZANT_DATABASE_URL": _database_url,
    "BEZANT_MASTER_KEY": _master_key,
    "BEZANT_MASTER_KEY_OLD": _master_key,
    "BEZANT_LOG": _one_of({"json": "json", "pretty": "pretty"}),
    "BEZANT_JOBS": _one_of({"on": True, "off": False}),
    "BEZANT_PSP_TIMEOUT_S": _seconds(0.05, 300),
    "BEZANT_PSP_CONCURRENCY": _whole(1, 10_000),
    "BEZANT_RATE_LIMIT_PER_S": _whole(1, 1_000_000),
    "BEZANT_AUTHORIZE_WINDOW_S": _whole(0, _DAY_S),
    "BEZANT_AUTHORIZATION_AGE_S": _whole(1, 365 * _DAY_S),
    "BEZANT_ACTION_AGE_S": _whole(1, 365 * _DAY_S),
    "BEZANT_IDEMPOTENCY_RETENTION_DAYS": _whole(IDEMPOTENCY_RETENTION_DAYS_MIN, 3650),
    "BEZANT_INBOX_RETENTION_DAYS": _whole(INBOX_RETENTION_DAYS_MIN, 3650),
    "BEZANT_INBOX_RATE_LIMIT_PER_S": _whole(1, 1_000_000),
    "BEZANT_RECONCILIATION_INTERVAL_S": _seconds(0.1, _DAY_S),
    "BEZANT_RECONCILIATION_SKEW_HOURS": _whole(0, 24 * 90),
    "BEZANT_RECONCILIATION_DEPOSIT_SKEW_HOURS": _whole(0, 24 * 90),
    "BEZANT_RECONCILIATION_FEES": _fees,
    "BEZANT_WEBHOOKS_ALLOW_NETWORKS": _networks,
    "BEZANT_WEBHOOKS_RETENTION_DAYS": _whole(7, 3650),
    "BEZANT_WEBHOOKS_TIMEOUT_S": _seconds(0.05, 30),
    "BEZANT_SYNC_INTERVAL_S": _seconds(0.01, 3600),
    "BEZANT_DATABASE_POOL_MAX": _whole(1, 1000),
    "BEZANT_SINK_KAFKA_SERVERS": _host_ports,
    "BEZANT_SINK_KAFKA_TOPIC": _broker_name,
    "BEZANT_SINK_KAFKA_CONFIG": _folder,
    "BEZANT_SINK_RABBITMQ_URL": _amqp_url,
    "BEZANT_SINK_RABBITMQ_EXCHANGE": _broker_name,
    "BEZANT_SINK_RABBITMQ_QUEUE": _broker_name,
    "BEZANT_SINK_STDOUT": _one_of({"on": True, "off": False}),
    "BEZANT_REPORT_FILE_MAX_MIB": _whole(1, 65_536),
    "BEZANT_REPORTS_DIR": _folder,
    "BEZANT_BANK_CSV": _folder,
    "BEZANT_REPORTS_PULL_S": _seconds(0.1, 86_400),
    "BEZANT_FAILPOINTS": str,
}
"""Each variable and how its text becomes the field's value; a parser's ValueError completes "BEZANT_X ..."."""
