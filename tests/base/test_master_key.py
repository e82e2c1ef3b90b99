"""The master key beside the embedded database: made once, changed while processes run, never half written."""

import multiprocessing
import os
from functools import partial
from pathlib import Path

import pytest

from bezant.base.config import Settings
from bezant.base.errors import OperatorError
from bezant.base.master_key import MasterKeys, add_kept_key, derived, drop_former_kept_keys, kept_keys
from bezant.base.sealed import SealBroken, Sealer

OLD, NEW = "an old key " + "0" * 32, "a new key " + "1" * 32


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "home" / "master.key"


def test_a_key_is_added_before_the_former_one_and_only_once(kept: Path) -> None:
    (first,) = kept_keys(kept)
    add_kept_key(kept)
    newest, former = kept_keys(kept)
    assert former == first != newest
    add_kept_key(kept)
    assert kept_keys(kept) == [newest, former]
    drop_former_kept_keys(kept)
    assert kept_keys(kept) == [newest]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in kept.parent.iterdir()] == ["master.key"]


def test_processes_that_change_the_key_at_once_agree(kept: Path) -> None:
    (first,) = kept_keys(kept)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(partial(_add, kept), range(12), chunksize=1)
    newest, former = kept_keys(kept)
    assert former == first != newest


def _add(kept: Path, _: int) -> None:
    add_kept_key(kept)


def test_a_process_that_runs_notices_the_new_key_when_it_needs_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    running, early = Sealer(settings.master_keys()), Sealer(settings.master_keys())
    by_old = early.seal(b"a", "row")
    assert settings.kept_master_key is not None
    add_kept_key(settings.kept_master_key)
    by_new = Sealer(settings.master_keys()).seal(b"b", "row")
    assert by_new[0] != by_old[0]
    assert running.open(*by_new, "row") == b"b"
    assert running.open(*by_old, "row") == b"a"
    assert running.seal(b"c", "row")[0] == early.seal(b"d", "row")[0] == by_new[0]
    drop_former_kept_keys(settings.kept_master_key)
    assert len(running.key_ids) == 1
    with pytest.raises(SealBroken):
        running.open(*by_old, "row")


async def test_a_change_is_seen_by_whoever_looks_and_counted_once(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    keys = settings.master_keys()
    assert await keys.look() == 0
    assert settings.kept_master_key is not None
    add_kept_key(settings.kept_master_key)
    assert [await keys.look(), await keys.look()] == [1, 0]
    assert keys.keys == settings.master_keys().keys
    given = MasterKeys.given([derived(NEW)])
    assert await given.look() == 0


def test_what_was_read_stays_good_while_the_file_is_away(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    keys = settings.master_keys()
    before = keys.keys
    assert settings.kept_master_key is not None
    settings.kept_master_key.rename(tmp_path / "elsewhere")
    keys.refresh()
    assert keys.keys is before
    settings.kept_master_key.write_text("half")
    keys.refresh()
    assert keys.keys is before


@pytest.mark.parametrize("damaged", ["", " \n", "short", "\n".join(["k" * 32, "short"])])
def test_a_damaged_file_is_refused_and_left_as_it_is(kept: Path, damaged: str) -> None:
    kept.parent.mkdir()
    kept.write_text(damaged)
    for use in (kept_keys, add_kept_key, drop_former_kept_keys):
        with pytest.raises(OperatorError, match="is damaged"):
            use(kept)
    assert kept.read_text() == damaged


def test_a_file_that_is_not_text_is_refused(kept: Path) -> None:
    kept.parent.mkdir()
    kept.write_bytes(os.urandom(64) + b"\xff")
    with pytest.raises(OperatorError, match="cannot be read"):
        kept_keys(kept)


def test_a_home_in_which_no_key_can_be_made_is_said_in_one_line() -> None:
    for use in (kept_keys, add_kept_key):
        with pytest.raises(OperatorError, match=r"^The master key /proc/nowhere/master\.key cannot be made: .*\.$"):
            use(Path("/proc/nowhere/master.key"))


def test_the_former_key_of_the_environment_is_accepted_beside_the_new_one() -> None:
    settings = Settings(home=Path("/nowhere"), master_key=NEW, master_key_old=OLD)
    assert settings.master_keys().keys == (derived(NEW), derived(OLD))
    assert settings.master_key_bytes() == derived(NEW)
    assert settings.kept_master_key is None


def test_a_kept_key_may_become_the_former_key_of_a_given_one(tmp_path: Path) -> None:
    by_kept = Sealer(Settings(home=tmp_path).master_keys()).seal(b"a", "row")
    text = (tmp_path / "master.key").read_text()
    given = Settings(home=tmp_path, master_key=NEW, master_key_old=text)
    assert Sealer(given.master_keys()).open(*by_kept, "row") == b"a"


def test_the_same_key_twice_is_one() -> None:
    assert len(MasterKeys.given([derived(NEW), derived(NEW)]).keys) == 1


def test_a_short_former_key_is_refused_without_being_shown() -> None:
    with pytest.raises(OperatorError, match=r"^BEZANT_MASTER_KEY_OLD must have at least 32") as refused:
        Settings.from_env({"BEZANT_MASTER_KEY_OLD": "hunter2"})
    assert "hunter2" not in str(refused.value)
