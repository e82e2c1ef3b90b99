"""Client secrets live through a change of the master key, and stored replies show the one that was sent."""

from pathlib import Path

import pytest

from bezant.base import ids
from bezant.base.config import Settings
from bezant.base.master_key import MasterKeys, add_kept_key, derived
from bezant.payments.render import ClientSecrets

OLD, NEW = derived("old" * 16), derived("new" * 16)


def secrets(*keys: bytes) -> ClientSecrets:
    return ClientSecrets(MasterKeys.given(keys))


def test_a_secret_of_the_former_key_matches_while_that_key_is_given() -> None:
    payment_id = ids.new_id()
    shown_before = secrets(OLD).of(payment_id)
    assert secrets(NEW, OLD).matches(payment_id, shown_before)
    assert secrets(NEW, OLD).of(payment_id) == secrets(NEW).of(payment_id) != shown_before
    assert not secrets(NEW).matches(payment_id, shown_before)
    assert not secrets(NEW, OLD).matches(ids.new_id(), shown_before)


@pytest.mark.parametrize("wrong", ["", "pay_", "é", "\x00"])
def test_what_is_no_secret_does_not_match(wrong: str) -> None:
    payment_id = ids.new_id()
    assert not secrets(NEW, OLD).matches(payment_id, wrong)
    assert not secrets(NEW, OLD).matches(payment_id, secrets(NEW).of(payment_id) + wrong + "0")


def test_a_stored_reply_is_shown_as_it_was_sent_also_after_the_key_was_changed() -> None:
    payment_id = ids.new_id()
    before = secrets(OLD)
    sent = f'{{"client_secret":"{before.of(payment_id)}","x":"{before.of(payment_id)}"}}'.encode()
    stored = before.hidden(payment_id, sent)
    assert before.of(payment_id).encode() not in stored
    assert before.shown(payment_id, stored) == secrets(NEW, OLD).shown(payment_id, stored) == sent
    newer = secrets(NEW)
    assert newer.shown(payment_id, stored) == sent.replace(
        before.of(payment_id).encode(), newer.of(payment_id).encode()
    )


def test_a_body_that_shows_both_secrets_hides_both() -> None:
    payment_id = ids.new_id()
    both = secrets(NEW, OLD)
    sent = f'["{secrets(OLD).of(payment_id)}","{secrets(NEW).of(payment_id)}"]'.encode()
    stored = both.hidden(payment_id, sent)
    assert b"_secret_" not in stored
    assert both.shown(payment_id, stored) == sent


def test_a_running_process_accepts_a_secret_of_a_key_that_was_made_since(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    running, payment_id = ClientSecrets(settings.master_keys()), ids.new_id()
    shown_before = running.of(payment_id)
    assert settings.kept_master_key is not None
    add_kept_key(settings.kept_master_key)
    started_since = ClientSecrets(settings.master_keys())
    assert started_since.of(payment_id) != shown_before
    assert running.matches(payment_id, started_since.of(payment_id))
    assert running.of(payment_id) == started_since.of(payment_id)
    assert running.matches(payment_id, shown_before)
    assert not running.matches(payment_id, "no secret")


def test_a_running_process_shows_a_stored_reply_under_a_key_that_was_made_since(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    running, payment_id = ClientSecrets(settings.master_keys()), ids.new_id()
    assert settings.kept_master_key is not None
    add_kept_key(settings.kept_master_key)
    started_since = ClientSecrets(settings.master_keys())
    sent = started_since.of(payment_id).encode()
    assert running.shown(payment_id, started_since.hidden(payment_id, sent)) == sent
    assert running.shown(payment_id, b"\x00") == sent, "a reply that names no key shows the newest"
