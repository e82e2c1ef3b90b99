"""The master keys of an installation: those that the environment gives, or those kept beside the embedded database.

The newest comes first: it seals and derives, the others only open what was sealed and recognise what was derived before
the key was changed. Kept keys stand in a file, one a line; processes that run notice when it is changed.
"""

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bezant.base.errors import OperatorError

KEY_LENGTH_MIN: Final = 32
LOOKED_AT_EVERY_S: Final = 2.0
NOTICED_WITHIN_S: Final = 5.0


class MasterKeys:
    """The keys as bytes, newest first."""

    def __init__(self, read: Callable[[], Sequence[bytes]], kept: Path | None = None) -> None:
        """`read` gives the keys; it is asked again once the file `kept` has been changed."""
        self._read = read
        self._kept = kept
        self._seen = self._state()
        self.keys = _distinct(read())

    @classmethod
    def given(cls, keys: Sequence[bytes]) -> "MasterKeys":
        """Keys that stay as they are for the life of the process."""
        return cls(lambda: keys)

    def refresh(self) -> None:
        """Read the keys again if their file was changed. `keys` is another object afterwards if they are others."""
        state = self._state()
        if state is None or state == self._seen:
            return
        try:
            keys = _distinct(self._read())
        except (OperatorError, OSError):  # what was read stays good
            return
        self._seen = state
        if keys != self.keys:
            self.keys = keys

    async def look(self) -> int:
        """A job, to be run every `LOOKED_AT_EVERY_S`: nobody derives from a former key for long. 1 for a change."""
        before = self.keys
        self.refresh()
        return int(self.keys is not before)

    def _state(self) -> tuple[int, int] | None:
        if self._kept is None:
            return None
        try:
            found = self._kept.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns


def derived(text: str) -> bytes:
    """The 32 bytes of a key as operators write it."""
    return hashlib.sha256(b"bezant master key\0" + text.encode()).digest()


def kept_keys(path: Path) -> list[str]:
    """The keys in the file, newest first. The first is made on first use.

    Of two processes that come first at once, one's key is kept by both. Raises OperatorError.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    try:
        _make(path)
    except OSError as error:
        raise OperatorError(f"The master key {path} cannot be made: {error.strerror}.") from error
    return _read(path)


def add_kept_key(path: Path) -> None:
    """A new key before the one in the file, unless there are two already. Safe to repeat, and to be killed.

    Raises OperatorError.
    """
    with _locked(path):
        keys = kept_keys(path)
        if len(keys) == 1:
            _replace(path, [secrets.token_hex(32), *keys])


def age_s(path: Path) -> float:
    """For how long the keys in the file have been these."""
    return time.time() - path.stat().st_mtime


def drop_former_kept_keys(path: Path) -> None:
    """Only the newest key stays in the file: what still needs a former one is lost."""
    with _locked(path):
        _replace(path, kept_keys(path)[:1])


def _read(path: Path) -> list[str]:
    try:
        keys = path.read_text("ascii").split()
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise OperatorError(f"The master key {path} cannot be read: {reason}.") from error
    if not keys or any(len(key) < KEY_LENGTH_MIN for key in keys):
        raise OperatorError(f"The master key {path} is damaged: restore it from a backup. Without it secrets are lost.")
    return keys


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _draft(path, [secrets.token_hex(32)]) as draft:
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # somebody was faster
    _sync_folder(path.parent)


def _replace(path: Path, keys: Sequence[str]) -> None:
    with _draft(path, keys) as draft:
        draft.rename(path)
    _sync_folder(path.parent)


@contextmanager
def _draft(path: Path, keys: Sequence[str]) -> Iterator[Path]:
    """A file of the keys that nobody else reads, durable before it gets its name."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("\n".join(keys))
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One at a time over all processes: the folder itself is locked, which leaves no file behind."""
    kept_keys(path)  # makes the folder
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise OperatorError(f"The master key {path} cannot be changed: {error.strerror}.") from error
    finally:
        os.close(folder)


def _sync_folder(folder: Path) -> None:
    """A name in a folder outlives a power cut only once the folder itself is written."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _distinct(keys: Sequence[bytes]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(keys))
