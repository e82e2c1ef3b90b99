"""Stripe: PaymentIntents and refunds over https://api.stripe.com.

One Bezant payment is one PaymentIntent, created and confirmed in one request. Its metadata carry the attempt
(`bezant_reference`) and the payment (`bezant_payment`), so that both can be found from Stripe's side.

How an unknown outcome is resolved, and how far that goes:

- Every POST carries the attempt's id as `Idempotency-Key`. Stripe keeps a key "at least 24 hours" and replays the first
  answer, a stored 500 included (https://docs.stripe.com/api/idempotent_requests). `REPLAY_S` stays an hour below. A
  replay that keeps answering 500 is not the end: the object can be read.
- An authorization whose PaymentIntent id is not known is found only by search over metadata, which lags: "under a
  minute" normally, "up to an hour behind during outages" (https://docs.stripe.com/api/payment_intents/search). Before
  `SEARCH_LAG_S` "not found" is therefore no evidence. Accounts in India have no search: there only the key helps.
- A capture or a cancel has no object of its own at Stripe: the PaymentIntent, read by its id, shows their effect. As a
  PaymentIntent is captured once (a partial capture releases the rest), that effect is ours or the dashboard's.
- A refund is an object with metadata; the list of a PaymentIntent's refunds is read. Reads by id and lists do not lag
  (https://docs.stripe.com/search): only a call that is still running at Stripe can be missed, for `RUNNING_MAX_S`.

Webhooks: an endpoint of API version 2025-03-31 or newer, best the one that the calls are pinned to, with the events
that `events.py` reads. For each connected account an endpoint for connected accounts of the platform, at the address of
that account here: Stripe tells each of them of all connected accounts, and each takes its own.

A customer's action: where the payment has a `return_url` Stripe gives a page, sends the customer back there, and has
then decided; the PaymentIntent is read. Without one there is nowhere to send the customer: declined.
"""

from bezant.connectors.stripe.calls import CONNECTED_ACCOUNT, authenticate, authorize, cancel, capture, fetch, refund
from bezant.connectors.stripe.disputes import FILES_HOST, accept_dispute, fetch_dispute, submit_evidence
from bezant.connectors.stripe.mapping import EXPONENTS
from bezant.connectors.stripe.reports import REPORTS
from bezant.connectors.stripe.webhooks import WEBHOOKS
from bezant.psp.connector import Connector
from bezant.psp.contract import Manifest, Operation, Resolution

REPLAY_S = 23 * 3600
SEARCH_LAG_S = 3600.0
RUNNING_MAX_S = 120.0
"""Stripe's SDKs wait 80 seconds for an answer; nothing is still running after this."""

MANIFEST = Manifest(
    name="stripe",
    title="Stripe",
    base_url="https://api.stripe.com",
    hosts=("api.stripe.com", FILES_HOST),
    credential_fields=("secret_key",),
    optional_fields=(CONNECTED_ACCOUNT,),
    resolution={
        Operation.AUTHORIZE: Resolution(replay_s=REPLAY_S, lookup=True, visibility_lag_s=SEARCH_LAG_S),
        Operation.CAPTURE: Resolution(replay_s=REPLAY_S, lookup=True, visibility_lag_s=RUNNING_MAX_S),
        Operation.CANCEL: Resolution(replay_s=REPLAY_S, lookup=True, visibility_lag_s=RUNNING_MAX_S),
        Operation.REFUND: Resolution(replay_s=REPLAY_S, lookup=True, visibility_lag_s=RUNNING_MAX_S),
    },
    exponents=EXPONENTS,
    multi_capture=False,
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
    submit_evidence=submit_evidence,
    accept_dispute=accept_dispute,
    fetch_dispute=fetch_dispute,
    reports=REPORTS,
)
