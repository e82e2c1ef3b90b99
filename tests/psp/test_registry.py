"""The platform's own accounts, as the environment names them."""

import msgspec
import pytest

from bezant.base.errors import OperatorError
from bezant.psp.registry import endpoints
from bezant.supported import CONNECTORS

STRIPE = {"secret_key": "sk_test_own"}


def test_a_psp_without_its_credentials_is_not_set_up() -> None:
    assert set(endpoints(CONNECTORS, {}, {})) == {"simulator"}
    assert set(endpoints(CONNECTORS, {}, {"stripe": STRIPE})) == {"simulator", "stripe"}


def test_webhook_secrets_are_separated_by_commas_and_are_no_credentials() -> None:
    stripe = endpoints(CONNECTORS, {}, {"stripe": {**STRIPE, "webhook_secret": " whsec_new, whsec_old ,,"}})["stripe"]
    assert stripe.webhook_secrets == ("whsec_new", "whsec_old")
    assert stripe.credentials.fields == STRIPE
    assert (stripe.account_id, stripe.merchant_id) == (None, None)


def test_a_kept_webhook_secret_is_used_where_none_is_configured() -> None:
    kept = {"simulator": "kept_secret"}
    assert endpoints(CONNECTORS, {}, {}, kept)["simulator"].webhook_secrets == ("kept_secret",)
    configured = {"simulator": {"webhook_secret": "configured"}}
    assert endpoints(CONNECTORS, {}, configured, kept)["simulator"].webhook_secrets == ("configured",)
    assert endpoints(CONNECTORS, {}, {"stripe": STRIPE}, kept)["stripe"].webhook_secrets == ()


def test_nothing_secret_is_shown_when_an_account_is_printed() -> None:
    given = {"stripe": {**STRIPE, "webhook_secret": "whsec_own"}}
    stripe = endpoints(CONNECTORS, {}, given)["stripe"]
    shown = f"{stripe!r} {stripe} {stripe.credentials!r} {[stripe]}"
    assert "sk_test_own" not in shown
    assert "whsec_own" not in shown
    assert "secret_key" in shown


@pytest.mark.parametrize(
    ("urls", "credentials", "message"),
    [
        ({"paypal": "https://api.paypal.example"}, {}, "BEZANT_PSP_PAYPAL_...: there is no PSP 'paypal'"),
        ({}, {"paypal": {"secret": "hunter2"}}, "BEZANT_PSP_PAYPAL_...: there is no PSP 'paypal'"),
        ({}, {"stripe": {"secret_kye": "hunter2"}}, "BEZANT_PSP_STRIPE_SECRET_KYE is not a known variable."),
        ({}, {"simulator": {"secret_key": "hunter2"}}, "BEZANT_PSP_SIMULATOR_SECRET_KEY is not a known variable."),
        ({"stripe": "http://10.0.0.1"}, {"stripe": STRIPE}, "BEZANT_PSP_STRIPE_URL: credentials are sent over https"),
        ({"stripe": "https://a:b@host"}, {"stripe": STRIPE}, "BEZANT_PSP_STRIPE_URL: an http or https URL without"),
    ],
)
def test_a_mistake_is_one_line_without_the_value(
    urls: dict[str, str], credentials: dict[str, dict[str, str]], message: str
) -> None:
    with pytest.raises(OperatorError) as refused:
        endpoints(CONNECTORS, urls, credentials)
    assert str(refused.value).startswith(message)
    assert "hunter2" not in str(refused.value)


def test_no_connector_has_a_credential_of_the_name_that_webhook_secrets_have() -> None:
    for manifest in (connector.manifest for connector in CONNECTORS):
        assert not {"webhook_secret", "url"} & {*manifest.credential_fields, *manifest.optional_fields}
        assert msgspec.structs.asdict(manifest)["name"].isalnum(), "a variable's name ends the PSP's at the first _"
