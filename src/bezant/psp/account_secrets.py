"""What an account at a PSP keeps sealed: its credentials and the secrets of its webhooks."""

import hashlib
import re
from typing import Final
from uuid import UUID

import msgspec

from bezant.base.errors import OperatorError
from bezant.base.sealed import SealBroken, Sealer, bound_to
from bezant.psp.contract import Manifest

TABLE: Final = "psp_accounts"
WEBHOOK_FIELD: Final = "webhook_secret"
WEBHOOK_SECRETS_MAX: Final = 8
_WEBHOOK_SECRET_LENGTH_MIN: Final = 16
_VALUE: Final = re.compile(r"[\x21-\x7e]{1,4096}")


class AccountSecrets(msgspec.Struct, frozen=True):
    """Never logged. `webhook_secrets`: newest first."""

    credentials: dict[str, str]
    webhook_secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"AccountSecrets({', '.join(self.credentials)}, {len(self.webhook_secrets)} webhook secrets)"


def seal(sealer: Sealer, account_id: UUID, secrets: AccountSecrets) -> tuple[str, bytes]:
    """The key's id and the sealed secrets."""
    return sealer.seal(msgspec.json.encode(secrets), bound_to(TABLE, account_id))


def unseal(sealer: Sealer, account_id: UUID, key_id: str, sealed: bytes) -> AccountSecrets:
    """The account's secrets. Raises SealBroken."""
    opened = sealer.open(key_id, sealed, bound_to(TABLE, account_id))
    try:
        return msgspec.json.decode(opened, type=AccountSecrets)
    except msgspec.DecodeError as error:
        raise SealBroken("it does not hold what an account holds") from error


def fingerprint(account_id: UUID, webhook_secret: str) -> str:
    """How a webhook secret is named without being shown. Another account's equal secret has another one."""
    return hashlib.sha256(account_id.bytes + webhook_secret.encode()).hexdigest()[:12]


def fields_of(text: str) -> dict[str, str]:
    """What lines field=value say; empty lines and those that begin with # say nothing. Raises OperatorError."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        field, separator, value = line.partition("=")
        field = field.strip()
        if not separator or not field.isidentifier() or field in found:
            raise OperatorError(f"Line {number} of the secrets is not a field of its own, as in secret_key=...")
        found[field] = value.strip()
    return found


def checked_credentials(manifest: Manifest, credentials: dict[str, str]) -> dict[str, str]:
    """The credentials, if they are all that the PSP asks for and nothing else. Raises OperatorError, without values."""
    missing = [field for field in manifest.credential_fields if field not in credentials]
    if missing:
        raise OperatorError(f"{manifest.title} needs {', '.join(manifest.credential_fields)}; missing: {missing[0]}.")
    allowed = (*manifest.credential_fields, *manifest.optional_fields)
    for field, value in credentials.items():
        if field not in allowed:
            raise OperatorError(f"{manifest.title} takes no {field!r}; it takes {', '.join(allowed) or 'nothing'}.")
        if not _VALUE.fullmatch(value):
            raise OperatorError(f"{field} must be 1 to 4,096 printable characters without spaces.")
    return credentials


def checked_webhook_secret(webhook_secret: str) -> str:
    """The secret, if it can be one. Raises OperatorError, without it."""
    if not _VALUE.fullmatch(webhook_secret) or len(webhook_secret) < _WEBHOOK_SECRET_LENGTH_MIN:
        raise OperatorError(
            f"A webhook secret has at least {_WEBHOOK_SECRET_LENGTH_MIN} printable characters without spaces."
        )
    return webhook_secret
