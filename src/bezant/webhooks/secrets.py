"""An endpoint's signing secrets at rest: sealed together, bound to the endpoint's row."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from bezant.base.sealed import Sealer, bound_to
from bezant.webhooks.sign import Secret

_decoder = msgspec.json.Decoder(list[Secret])


def seal_secrets(sealer: Sealer, endpoint_id: UUID, secrets: Sequence[Secret]) -> tuple[str, bytes]:
    """The id of the key that sealed them, and the sealed secrets."""
    return sealer.seal(msgspec.json.encode(secrets), bound_to("webhook_endpoints", endpoint_id))


def open_secrets(sealer: Sealer, endpoint_id: UUID, key_id: str, sealed: bytes) -> list[Secret]:
    """The secrets, newest first. Raises SealBroken."""
    return _decoder.decode(sealer.open(key_id, sealed, bound_to("webhook_endpoints", endpoint_id)))
