"""Settings: strict about names and values, silent about what may be secret."""

import multiprocessing
from pathlib import Path

import pytest

from bezant.base.config import Settings
from bezant.base.errors import OperatorError

KEY = "k" * 32
URL = "postgresql://bezant:hunter2@db.example/bezant"


def test_defaults_need_no_variable_at_all():
    settings = Settings.from_env({"PATH": "/bin"})
    assert settings.home.is_absolute()
    assert (settings.database_url, settings.log, settings.jobs, settings.psp_timeout_s) == (None, "pretty", True, 10.0)


def test_every_variable_reaches_its_field():
    environ = {
        "BEZANT_HOME": "/srv/bezant",
        "BEZANT_DATABASE_URL": URL,
        "BEZANT_MASTER_KEY": KEY,
        "BEZANT_MASTER_KEY_OLD": "o" * 32,
        "BEZANT_LOG": "json",
        "BEZANT_JOBS": "off",
        "BEZANT_PSP_TIMEOUT_S": "2.5",
        "BEZANT_PSP_CONCURRENCY": "64",
        "BEZANT_RATE_LIMIT_PER_S": "50",
        "BEZANT_AUTHORIZE_WINDOW_S": "60",
        "BEZANT_AUTHORIZATION_AGE_S": "120",
        "BEZANT_ACTION_AGE_S": "30",
        "BEZANT_IDEMPOTENCY_RETENTION_DAYS": "31",
        "BEZANT_SYNC_INTERVAL_S": "0.1",
        "BEZANT_DATABASE_POOL_MAX": "4",
        "BEZANT_FAILPOINTS": "record.before_commit=kill",
        "BEZANT_PSP_SIMULATOR_URL": "http://127.0.0.1:8090/",
        "BEZANT_PSP_STRIPE_SECRET_KEY": "sk_test_1",
        "BEZANT_PSP_STRIPE_WEBHOOK_SECRET": "whsec_1",
        "BEZANT_TEST_DATA": "/data",
    }
    assert Settings.from_env(environ) == Settings(
        home=Path("/srv/bezant"),
        database_url=URL,
        master_key=KEY,
        master_key_old="o" * 32,
        psp_urls={"simulator": "http://127.0.0.1:8090"},
        psp_credentials={"stripe": {"secret_key": "sk_test_1", "webhook_secret": "whsec_1"}},
        log="json",
        jobs=False,
        psp_timeout_s=2.5,
        psp_concurrency=64,
        rate_limit_per_s=50,
        authorize_window_s=60,
        authorization_age_s=120,
        action_age_s=30,
        idempotency_retention_days=31,
        sync_interval_s=0.1,
        database_pool_max=4,
        failpoints="record.before_commit=kill",
    )


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("BEZANT_HOM", "BEZANT_HOME"),
        ("BEZANT_DATABASEURL", "BEZANT_DATABASE_URL"),
        ("BEZANT_PSP_TIMEOUT", "BEZANT_PSP_TIMEOUT_S"),
        ("BEZANT_PSP_TIMEOUT_MS", "BEZANT_PSP_TIMEOUT_S"),
        ("BEZANT_ZZZ", "Known are BEZANT_HOME"),
    ],
)
def test_unknown_variable_is_refused_with_a_hint(variable: str, hint: str):
    with pytest.raises(OperatorError, match=f"^{variable} is not a known variable.*{hint}"):
        Settings.from_env({variable: "1"})


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("BEZANT_HOME", " "),
        ("BEZANT_DATABASE_URL", "mysql://root:hunter2@db/x"),
        ("BEZANT_DATABASE_URL", "postgresql://bezant:hunter2@db:port/x"),
        ("BEZANT_MASTER_KEY", "hunter2"),
        ("BEZANT_LOG", "hunter2"),
        ("BEZANT_JOBS", "hunter2"),
        ("BEZANT_PSP_TIMEOUT_S", "hunter2"),
        ("BEZANT_PSP_TIMEOUT_S", "nan"),
        ("BEZANT_PSP_TIMEOUT_S", "0"),
        ("BEZANT_PSP_CONCURRENCY", "0"),
        ("BEZANT_PSP_CONCURRENCY", "1.5"),
        ("BEZANT_PSP_CONCURRENCY", "²"),
        ("BEZANT_IDEMPOTENCY_RETENTION_DAYS", "29"),
        ("BEZANT_PSP_STRIPE_URL", "hunter2"),
        ("BEZANT_PSP_STRIPE_URL", "ftp://hunter2"),
        ("BEZANT_PSP_STRIPE_SECRET_KEY", ""),
    ],
)
def test_bad_value_names_the_variable_and_never_the_value(variable: str, text: str):
    with pytest.raises(OperatorError, match=f"^{variable} (must|is)") as refused:
        Settings.from_env({variable: text})
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_settings_do_not_show_secrets_when_printed():
    shown = repr(
        Settings.from_env(
            {"BEZANT_DATABASE_URL": URL, "BEZANT_MASTER_KEY": KEY, "BEZANT_PSP_STRIPE_SECRET_KEY": "sk_test_1"}
        )
    )
    assert "hunter2" not in shown
    assert KEY not in shown
    assert "sk_test_1" not in shown


def test_master_key_that_is_given_is_derived_to_32_bytes():
    one = Settings(home=Path("/nowhere"), master_key=KEY).master_key_bytes()
    other = Settings(home=Path("/nowhere"), master_key=KEY + "x").master_key_bytes()
    assert len(one) == 32
    assert one != other


def test_master_key_is_made_once_beside_the_embedded_database(tmp_path: Path):
    settings = Settings(home=tmp_path / "home")
    key = settings.master_key_bytes()
    assert settings.master_key_bytes() == key
    kept = tmp_path / "home" / "master.key"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in kept.parent.iterdir()] == ["master.key"]


def test_processes_that_come_first_at_once_agree_on_the_master_key(tmp_path: Path):
    settings = Settings(home=tmp_path / "home")
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert len(set(pool.map(Settings.master_key_bytes, [settings] * 12, chunksize=1))) == 1


def test_external_database_without_a_master_key_is_refused(tmp_path: Path):
    settings = Settings(home=tmp_path, database_url=URL)
    with pytest.raises(OperatorError, match="BEZANT_MASTER_KEY is missing") as refused:
        settings.master_key_bytes()
    assert "hunter2" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
