"""Secrets at rest: AES-256-GCM under a key derived from the master key.

What is sealed is bound to its place by associated data (the table and the row's id): moved to another row it does not
open. Each sealed value is kept beside the id of the key that sealed it, so that the master key can be changed while
processes run: the newest key seals, every key that is given opens. The id is derived from the key and tells nothing
about it.
"""

import os
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bezant.base.errors import BezantError
from bezant.base.master_key import MasterKeys

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16


class SealBroken(BezantError):
    """A sealed value does not open: no key that is given sealed it, or it was altered, or moved from another row."""


class Sealer:
    """Seals with the first of the master keys, opens with any of them."""

    def __init__(self, master_keys: MasterKeys | Sequence[bytes]) -> None:
        self._master = master_keys if isinstance(master_keys, MasterKeys) else MasterKeys.given(master_keys)
        self._derived_of: Sequence[bytes] = ()
        self._ciphers: dict[str, AESGCM] = {}
        if not self._master.keys:
            raise ValueError("a sealer needs a master key")

    @property
    def key_id(self) -> str:
        """The id of the key that seals."""
        return self.key_ids[0]

    @property
    def key_ids(self) -> Sequence[str]:
        """The ids of the keys that open, the one that seals first."""
        return tuple(self._current())

    def seal(self, plaintext: bytes, associated: str) -> tuple[str, bytes]:
        """The id of the newest key, and `plaintext` sealed with it and bound to `associated`."""
        key_id, cipher = next(iter(self._current().items()))
        nonce = os.urandom(_NONCE_BYTES)
        return key_id, _VERSION + nonce + cipher.encrypt(nonce, plaintext, associated.encode())

    def open(self, key_id: str, sealed: bytes, associated: str) -> bytes:
        """What was sealed. Raises SealBroken."""
        key = self._ciphers.get(key_id) or self._current().get(key_id)
        if key is None:
            raise SealBroken(f"it is sealed with the master key {key_id}, which is not given")
        if not sealed.startswith(_VERSION) or len(sealed) < len(_VERSION) + _NONCE_BYTES + _TAG_BYTES:
            raise SealBroken("it is not what was sealed")
        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return key.decrypt(nonce, rest, associated.encode())
        except InvalidTag:
            raise SealBroken("it was altered, or sealed for another row") from None

    def _current(self) -> dict[str, AESGCM]:
        """A cipher for each key that is given at this moment."""
        self._master.refresh()
        if self._derived_of is not self._master.keys:
            self._derived_of = self._master.keys
            self._ciphers = {key_id_of(key): AESGCM(_sealing_key(key)) for key in self._master.keys}
        return self._ciphers


def bound_to(table: str, row_id: UUID) -> str:
    """The associated data that binds a sealed value to its row."""
    return f"{table}:{row_id.hex}"


def key_id_of(master_key: bytes) -> str:
    """The name of a master key. It tells nothing about the key."""
    return _derived(master_key, b"bezant key id", 8).hex()


def _sealing_key(master_key: bytes) -> bytes:
    return _derived(master_key, b"bezant sealed rows", 32)


def _derived(master_key: bytes, purpose: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=purpose).derive(master_key)
