"""The simulator: the offline PSP of `bezant simulator`, an honest double of a card PSP that fails on request.

How an unknown outcome is resolved: the attempt's id is `Idempotency-Key` and `reference` of each POST. The simulator
keeps a key for 24 hours and replays the first answer, refusals included; `REPLAY_S` stays an hour below. Every
operation can be looked up by our reference, a refused one too, though not at once: its index lags by what the operator
sets (`--visibility-lag`), at most `VISIBILITY_LAG_S`. Reads by the PSP's own id do not lag. Each change is also told by
webhook, signed whole, with the reference of the operation's own attempt; what was done in its dashboard has none.
"""

from bezant.connectors.simulator.calls import (
    accept_dispute,
    authenticate,
    authorize,
    cancel,
    capture,
    fetch,
    fetch_dispute,
    holdings,
    refund,
    submit_evidence,
)
from bezant.connectors.simulator.pull import pull
from bezant.connectors.simulator.reports import REPORTS
from bezant.connectors.simulator.webhooks import WEBHOOKS
from bezant.psp.connector import Connector
from bezant.psp.contract import Manifest, Operation, Resolution

REPLAY_S = 23 * 3600
VISIBILITY_LAG_S = 2.0

MANIFEST = Manifest(
    name="simulator",
    title="Simulator",
    base_url="http://127.0.0.1:8090",
    hosts=("127.0.0.1", "localhost"),
    credential_fields=(),
    optional_fields=("api_key",),
    resolution={
        operation: Resolution(replay_s=REPLAY_S, lookup=True, visibility_lag_s=VISIBILITY_LAG_S)
        for operation in Operation
    },
    multi_capture=True,
    authorization_age_s=7 * 24 * 3600,
)

CONNECTOR = Connector(
    manifest=MANIFEST,
    authenticate=authenticate,
    authorize=authorize,
    capture=capture,
    cancel=cancel,
    refund=refund,
    fetch=fetch,
    webhooks=WEBHOOKS,
    reports=REPORTS,
    pull=pull,
    holdings=holdings,
    submit_evidence=submit_evidence,
    accept_dispute=accept_dispute,
    fetch_dispute=fetch_dispute,
)
