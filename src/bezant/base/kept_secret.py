"""The secret of the simulator's webhooks, made once and kept in the home: `bezant simulator` signs with it and
`bezant serve` verifies with it, so that the two work together with nothing configured and no secret that others know.
"""

import os
import secrets
from pathlib import Path
from typing import Final

from bezant.base.errors import OperatorError

SIMULATOR_SECRET_FILE: Final = "simulator-webhook.secret"  # noqa: S105 - a file's name
_LENGTH_MIN: Final = 32


def simulator_webhook_secret(home: Path) -> str:
    """The secret kept in `home`, made on first use; of two processes that come first at once, one's is kept by both.

    Raises OperatorError where it can neither be read nor made.
    """
    path = home / SIMULATOR_SECRET_FILE
    try:
        if not path.exists():
            _make(path)
        kept = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise OperatorError(
            f"The secret of the simulator's webhooks, {path}, cannot be used: {reason}. "
            "Set BEZANT_PSP_SIMULATOR_WEBHOOK_SECRET, or let BEZANT_HOME be a folder that can be written."
        ) from error
    if len(kept) < _LENGTH_MIN:
        raise OperatorError(f"{path} is damaged: remove it, and a new one is made at the next start.")
    return kept


def kept_webhook_secrets(home: Path) -> dict[str, str]:
    """What is known without configuration, by PSP: nothing where the home cannot be used.

    A PSP without a secret has its webhooks refused, which is no reason not to serve.
    """
    try:
        return {"simulator": simulator_webhook_secret(home)}
    except OperatorError:
        return {}


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"simsec_{secrets.token_hex(32)}")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass  # somebody was faster
    finally:
        draft.unlink(missing_ok=True)
