"""Through which account a payment goes, from its first call to its last."""

from pathlib import Path
from uuid import uuid4

import pytest

from bezant.base.master_key import derived
from bezant.base.sealed import Sealer
from tests.support.accounts import OWN_KEY, SOMEBODY, Accountable, accountable
from tests.support.databases import run
from tests.support.platform import MASTER_KEY, request
from tests.support.verification import assert_verified, verified
from tests.support.waiting import wait_until


def test_a_merchants_payments_go_through_his_account_and_nobody_elses(place: Accountable) -> None:
    acme, other = place.platform.merchant(), place.platform.merchant()
    place.account_of(acme, "acme", "sim_acme")
    theirs, ours = acme.create().json, other.create().json
    assert (theirs["status"], ours["status"]) == ("captured", "captured")
    assert place.psp.keys("/v1/charges") == {"sim_acme", OWN_KEY}
    assert [seen.key for seen in place.psp.requests] == ["sim_acme", OWN_KEY]


def test_every_call_of_a_payment_goes_through_the_account_in_which_it_was_made(place: Accountable) -> None:
    acme = place.platform.merchant()
    place.account_of(acme, "acme", "sim_acme")
    payment_id = acme.create(capture_strategy="manual")["payment_id"]
    acme.do(payment_id, "capture", value=5_000)
    acme.do(payment_id, "refunds", value=1_000)
    lost = acme.create("pm_card_timeout_after", timeout_s=30)
    assert lost.status == 202
    assert acme.wait_for_status(lost["payment_id"], "captured")
    never_arrived = acme.create("pm_card_500_before")
    assert acme.wait_for_status(never_arrived["payment_id"], "captured")
    acme.do(acme.create(capture_strategy="manual")["payment_id"], "cancel")
    assert place.psp.keys() == {"sim_acme"}
    assert len([seen for seen in place.psp.requests if seen.method == "GET"]) >= 1


def test_an_account_takes_what_comes_after_it_and_leaves_what_was_before(place: Accountable) -> None:
    acme = place.platform.merchant()
    before = acme.create()["payment_id"]
    place.account_of(acme, "acme", "sim_acme")
    after = acme.create()["payment_id"]
    place.psp.requests.clear()
    acme.do(before, "refunds", value=1)
    assert place.psp.keys() == {OWN_KEY}
    place.psp.requests.clear()
    acme.do(after, "refunds", value=1)
    assert place.psp.keys() == {"sim_acme"}


def test_a_closed_account_takes_no_payment_more_and_gives_back_what_it_holds(place: Accountable) -> None:
    acme = place.platform.merchant()
    place.account_of(acme, "acme", "sim_acme")
    held = acme.create()["payment_id"]
    place.close("acme")
    place.psp.requests.clear()
    assert acme.create()["status"] == "captured"
    assert place.psp.keys() == {OWN_KEY}
    place.psp.requests.clear()
    assert acme.do(held, "refunds")["status"] == "succeeded"
    assert place.psp.keys() == {"sim_acme"}


def test_a_payment_that_waits_in_a_closed_account_is_not_confirmed_elsewhere(place: Accountable) -> None:
    acme = place.platform.merchant()
    place.account_of(acme, "acme", "sim_acme")
    waiting = acme.create(confirm=False)["payment_id"]
    place.close("acme")
    refused = acme.do(waiting, "confirm", "a-key")
    assert (refused.status, refused.code) == (422, "psp_account_closed")
    assert acme.do(waiting, "confirm", "a-key").body == refused.body
    assert acme.do(waiting, "cancel")["status"] == "canceled"
    assert place.psp.requests == []


def test_an_action_that_was_begun_before_the_account_was_closed_is_still_found(place: Accountable) -> None:
    acme = place.platform.merchant()
    place.account_of(acme, "acme", "sim_acme")
    payment = acme.create("pm_card_3ds").json
    place.close("acme")
    place.platform.customer_decides(payment, "approve")
    assert acme.do(payment["payment_id"], "confirm")["status"] == "captured"
    assert place.psp.keys() == {"sim_acme"}


def test_the_next_account_takes_over_from_a_closed_one(place: Accountable) -> None:
    acme = place.platform.merchant()
    place.account_of(acme, "acme-1", "sim_acme_1")
    acme.create()
    place.close("acme-1")
    place.account_of(acme, "acme-2", "sim_acme_2")
    acme.create()
    assert [seen.key for seen in place.psp.requests] == ["sim_acme_1", "sim_acme_2"]


def test_a_psp_at_which_only_the_merchant_has_an_account(place: Accountable) -> None:
    """The platform has no Stripe account of its own."""
    acme, other = place.platform.merchant(), place.platform.merchant()
    place.account_of(acme, "acme", "sk_test_acme_itself", psp="stripe")
    refused = other.create(psp="stripe")
    assert (refused.status, refused.code) == (422, "unknown_psp")
    acme.create(psp="stripe")
    assert place.psp.keys("/v1/payment_intents") == {"sk_test_acme_itself"}


def test_rotated_credentials_are_used_within_seconds_by_processes_that_run(place: Accountable) -> None:
    acme = place.platform.merchant()
    place.account_of(acme, "acme", "sim_acme_before")
    acme.create()
    place.at_desk(lambda desk: desk.rotate_credentials("acme", {"api_key": "sim_acme_after"}, SOMEBODY))

    def is_used() -> bool:
        acme.create()
        return place.psp.requests[-1].key == "sim_acme_after"

    wait_until(is_used, 20)
    assert place.psp.keys() == {"sim_acme_before", "sim_acme_after"}


def test_an_account_whose_credentials_do_not_open_never_falls_back_to_the_platforms(
    database_url: str, tmp_path: Path
) -> None:
    stranger = Sealer([derived("another master key" + "0" * 32)])
    with accountable(database_url, tmp_path / "home") as place:
        acme = place.platform.merchant()
        place.account_of(acme, "acme", "sim_acme")
        place.at_desk(
            lambda desk: desk.rotate_credentials("acme", {"api_key": "sim_acme"}, SOMEBODY, discard=True), stranger
        )
        answer = acme.create()
        assert (answer.status, answer["pending_operation"]["reason"]) == (202, "unknown")
        assert place.psp.requests == []
        metrics = request(f"{place.platform.apis[0].url}/metrics", "GET").body.decode()
        assert "bezant_psp_accounts_unopened 1.0" in metrics
        (broken,) = run(verified(database_url)).broken
        assert broken.name == "sealed_rows_open"
        place.at_desk(lambda desk: desk.rotate_credentials("acme", {"api_key": "sim_acme"}, SOMEBODY, discard=True))
        assert acme.wait_for_status(answer["payment_id"], "captured")
        assert place.psp.keys() == {"sim_acme"}
        assert len(place.platform.charges(payment_reference=answer["order_id"])) == 1
        assert_verified(database_url)


def test_a_process_that_lacks_the_newest_key_goes_on_with_what_it_knows(database_url: str, tmp_path: Path) -> None:
    newer = "the next master key" + "1" * 32
    both = Sealer([derived(newer), derived(MASTER_KEY)])
    with accountable(database_url, tmp_path / "home") as place:
        acme = place.platform.merchant()
        place.account_of(acme, "acme", "sim_acme")
        assert acme.create()["status"] == "captured"
        place.at_desk(lambda desk: desk.rotate_credentials("acme", {"api_key": "sim_acme_next"}, SOMEBODY), both)
        wait_until(lambda: "psp_account_does_not_open" in place.platform.apis[0].output(), 20)
        assert acme.create()["status"] == "captured"
        assert place.psp.keys() == {"sim_acme"}


def test_a_payment_in_an_account_of_another_merchant_is_refused_by_the_database(place: Accountable) -> None:
    acme, other = place.platform.merchant(), place.platform.merchant()
    place.account_of(acme, "acme", "sim_acme")
    payment_id = other.create()["payment_id"]
    with pytest.raises(Exception, match="payments_psp_account"):
        copy_into_account_of_acme(place, payment_id)


def copy_into_account_of_acme(place: Accountable, payment_id: str) -> None:
    place.platform.sql(
        """INSERT INTO payments SELECT (jsonb_populate_record(p, jsonb_build_object(
            'id', $1::text, 'psp_account_id', (SELECT id FROM psp_accounts), 'status', 'pending',
            'authorized_minor', 0, 'captured_minor', 0, 'platform_fee_minor', 0, 'gateway_ref', NULL))).*
        FROM payments AS p WHERE p.id = $2::uuid""",
        str(uuid4()),
        payment_id.partition("_")[2],
    )
