"""Who signed a webhook: published vectors, and the official SDK as the other side of every signature."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from bezant.connectors.stripe import CONNECTOR
from bezant.psp.contract import Credentials
from bezant.psp.notices import RawEvent, WebhookRefused, WebhookRequest
from tests.connectors.stripe.stripe_support import Json, published, published_bytes
from tests.support.stripe_wire.hooks import sign

SECRET = "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH"
BODY = b'{"id":"evt_1","object":"event","type":"payment_intent.created","created":1700000000,"data":{"object":{}}}'
AT = 1_700_000_000
OWN = Credentials(fields={"secret_key": "sk_test_1"})


def accept(
    body: bytes, header: str | None, secrets: Sequence[str] = (SECRET,), now: float = AT, account: Credentials = OWN
) -> Sequence[RawEvent]:
    assert CONNECTOR.webhooks is not None
    headers: Mapping[str, str] = {} if header is None else {"stripe-signature": header}
    return CONNECTOR.webhooks.accept(WebhookRequest(body, headers), secrets, account, datetime.fromtimestamp(now, UTC))


def refusal(*arguments: Any, **named: Any) -> str | None:
    try:
        accept(*arguments, **named)
    except WebhookRefused as refused:
        return refused.code
    return None


def signed(body: bytes = BODY, secret: str = SECRET, at: int = AT) -> str:
    return f"t={at},v1={sign(body, secret, at)}"


def vectors() -> list[Json]:
    return published("signature-vectors.json")["vectors"]


def alterations(text: bytes) -> Iterator[bytes]:
    for position in range(len(text)):
        for bit in (0x01, 0x20):
            altered = bytearray(text)
            altered[position] ^= bit
            yield bytes(altered)


def test_published_vectors() -> None:
    for vector in vectors():
        body = published_bytes(vector["file"].removeprefix("stripe/"))
        said = refusal(body, vector["Stripe-Signature"], [vector["secret"]], vector["now"])
        assert (said is None) is vector["valid"], vector
        assert (said == "signature_stale") is (vector.get("why") == "older than the tolerance")


def test_each_altered_byte_of_each_published_body_fails() -> None:
    for vector in vectors():
        if vector["valid"]:
            body = published_bytes(vector["file"].removeprefix("stripe/"))
            for altered in alterations(body):
                said = refusal(altered, vector["Stripe-Signature"], [vector["secret"]], vector["now"])
                assert said == "signature_invalid", vector


def test_each_altered_byte_of_the_header_and_of_the_secret_fails() -> None:
    for vector in vectors():
        if vector["valid"] and "why" not in vector:
            body = published_bytes(vector["file"].removeprefix("stripe/"))
            for altered in alterations(vector["Stripe-Signature"].encode()):
                header = altered.decode("latin-1")
                assert refusal(body, header, [vector["secret"]], vector["now"]) == "signature_invalid", header
            for altered in alterations(vector["secret"].encode()):
                secret = altered.decode("latin-1")
                assert refusal(body, vector["Stripe-Signature"], [secret], vector["now"]) == "signature_invalid"


def test_the_sdk_believes_what_our_double_signs() -> None:
    at = int(time.time())
    event = stripe.Webhook.construct_event(BODY, signed(at=at), SECRET)
    assert event.id == "evt_1"


def test_we_believe_what_the_sdk_signs() -> None:
    header = stripe.WebhookSignature.generate_signature_header(BODY.decode(), SECRET, AT)
    (event,) = accept(BODY, header)
    assert (event.event_id, event.type, event.body) == ("evt_1", "payment_intent.created", BODY)
    assert event.occurred_at == datetime.fromtimestamp(AT, UTC)


@given(data=st.data())
def test_whatever_we_believe_the_sdk_believes_too(data: st.DataObject) -> None:
    right = [
        f"t={AT}",
        f"v1={sign(BODY, SECRET, AT)}",
        f"v0={sign(BODY, SECRET, AT)}",
        "v1=00",
        "t=1",
        "v1",
        "t=+1",
        "",
    ]
    header = data.draw(st.sampled_from([",", ", ", ";"])).join(data.draw(st.lists(st.sampled_from(right), max_size=5)))
    header = data.draw(st.sampled_from([header, header + data.draw(st.text(max_size=4)), header.upper()]))
    if refusal(BODY, header) is None:
        stripe.WebhookSignature.verify_header(BODY.decode(), header, SECRET)


def test_without_a_secret_nothing_is_believed() -> None:
    empty = f"t={AT},v1={sign(BODY, '', AT)}"
    blank = f"t={AT},v1={sign(BODY, ' ', AT)}"
    for header in (signed(), empty, blank):
        for secrets in ([], [""], [" "], ["", "\t"]):
            assert refusal(BODY, header, secrets) == "signature_invalid"


def test_old_and_new_secret_are_both_good_while_one_is_rotated() -> None:
    for secrets in (["whsec_new", SECRET], [SECRET, "whsec_new"], ["", SECRET]):
        assert refusal(BODY, signed(), secrets) is None
    both = f"t={AT},v1={sign(BODY, 'whsec_new', AT)},v1={sign(BODY, SECRET, AT)}"
    for secrets in (["whsec_new"], [SECRET]):
        assert refusal(BODY, both, secrets) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, None),
        (300, None),
        (301, "signature_stale"),
        (-300, None),
        (-301, "signature_stale"),
        (1e9, "signature_stale"),
    ],
)
def test_signed_time_is_at_most_five_minutes_from_ours(seconds: float, said: str | None) -> None:
    assert refusal(BODY, signed(), now=AT + seconds) == said


def test_stale_forgery_is_a_forgery() -> None:
    assert refusal(BODY, signed(secret="whsec_other"), now=AT + 86_400) == "signature_invalid"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=,v1=",
        f"v1={sign(BODY, SECRET, AT)}",
        f"t={AT}",
        f"t={AT},v0={sign(BODY, SECRET, AT)}",
        f"t={AT},v1={sign(BODY, SECRET, AT).upper()}",
        f"t={AT},t={AT},v1={sign(BODY, SECRET, AT)}",
        f"t=-{AT},v1={sign(BODY, SECRET, AT)}",
        f"t={AT}.0,v1={sign(BODY, SECRET, AT)}",
        f"t={chr(0x661)}700000000,v1={sign(BODY, SECRET, AT)}",
        f"t={'9' * 400},v1={sign(BODY, SECRET, AT)}",
        f"t={AT},v1=\udcff\xe9",
        f"t={AT},v1={sign(BODY, SECRET, AT)},v1",
        f"t={AT},v1={sign(BODY, SECRET, AT)},",
    ],
    ids=range(15),
)
def test_header_that_says_something_else_is_no_signature(header: str | None) -> None:
    assert refusal(BODY, header) == "signature_invalid"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"not json",
        b"\xff\xfe",
        b'{"id":"evt_1","type":"x"}',
        b'{"id":"","type":"x","created":1}',
        b'{"id":"evt 1","type":"x","created":1}',
        b'{"id":"evt_\\u0000","type":"x","created":1}',
        b'{"id":"evt_1","type":"x","created":-1}',
        b'{"id":"evt_1","type":"x","created":1e99}',
        b'{"id":"evt_1","type":"x","created":"yesterday"}',
        b'{"id":"evt_1","type":7,"created":1}',
        b'{"id":"evt_1","type":"' + b"x" * 300 + b'","created":1}',
    ],
)
def test_signed_rubbish_is_not_kept(body: bytes) -> None:
    assert refusal(body, signed(body)) == "invalid_request"


def test_thin_event_of_the_second_api_is_kept_and_unknown() -> None:
    body = b'{"id":"evt_2","object":"v2.core.event","type":"v2.core.health","created":"2026-11-23T12:00:00.5+02:00"}'
    (event,) = accept(body, signed(body))
    assert event.occurred_at == datetime(2026, 11, 23, 10, 0, 0, 500_000, UTC)
    assert event.occurred_at.utcoffset() == timedelta(0)
    assert CONNECTOR.webhooks is not None
    assert CONNECTOR.webhooks.notices(event) is None


def test_event_must_be_of_the_account_that_is_set_up() -> None:
    def of(account: str | None) -> bytes:
        named = b"" if account is None else f',"account":"{account}"'.encode()
        return BODY[:-1] + named + b"}"

    tea = Credentials(fields={"secret_key": "sk_test_1", "connected_account": "acct_1Tea"})
    none = Credentials(fields={"secret_key": "sk_test_1", "connected_account": ""})
    for account, event_of, said in (
        (OWN, None, None),
        (none, None, None),
        (OWN, "acct_1Tea", "invalid_request"),
        (tea, "acct_1Tea", None),
        (tea, "acct_1Coffee", None),
        (tea, None, "invalid_request"),
    ):
        body = of(event_of)
        assert refusal(body, signed(body), account=account) == said
        if said is None:
            kept = accept(body, signed(body), account=account)
            assert len(kept) == (event_of != "acct_1Coffee")


@pytest.mark.parametrize(
    ("key", "live", "own", "connected"),
    [
        ("sk_live_1", True, 1, 1),
        ("rk_live_1", False, "invalid_request", 0),  # as Stripe does it: both modes of connected accounts
        ("sk_live_1", False, "invalid_request", 0),
        ("sk_test_1", True, "invalid_request", "invalid_request"),
        ("rk_test_1", False, 1, 1),
        ("a key of next year", False, 1, 1),
    ],
)
def test_play_money_is_never_taken_for_real(key: str, live: bool, own: int | str, connected: int | str) -> None:
    mode = b',"livemode":true' if live else b',"livemode":false'
    for named, account, said in ((b"", "", own), (b',"account":"acct_1Tea"', "acct_1Tea", connected)):
        body = BODY[:-1] + named + mode + b"}"
        credentials = Credentials(fields={"secret_key": key, "connected_account": account})
        refused = refusal(body, signed(body), account=credentials)
        assert (refused or len(accept(body, signed(body), account=credentials))) == said
