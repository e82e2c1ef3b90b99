"""The secret of the simulator's webhooks: made once, kept, nobody else's to read."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bezant.base.errors import OperatorError
from bezant.base.kept_secret import kept_webhook_secrets, simulator_webhook_secret


def test_it_is_made_once_and_read_by_nobody_else(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    secret = simulator_webhook_secret(home)
    assert simulator_webhook_secret(home) == secret
    assert simulator_webhook_secret(tmp_path / "other") != secret
    (kept,) = home.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept_webhook_secrets(home) == {"simulator": secret}


def test_many_that_come_first_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        found = set(threads.map(simulator_webhook_secret, [tmp_path] * 64))
    assert len(found) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64])
def test_a_damaged_one_is_refused_and_never_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "simulator-webhook.secret").write_bytes(content)
    with pytest.raises(OperatorError, match=r"simulator-webhook\.secret"):
        simulator_webhook_secret(tmp_path)
    assert kept_webhook_secrets(tmp_path) == {}


def test_a_home_that_cannot_be_written_has_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = tmp_path / "file" / "home"
    with pytest.raises(OperatorError, match="BEZANT_PSP_SIMULATOR_WEBHOOK_SECRET"):
        simulator_webhook_secret(home)
    assert kept_webhook_secrets(home) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
