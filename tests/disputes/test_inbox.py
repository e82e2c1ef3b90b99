"""What came before anybody handled disputes is applied once somebody does."""

from pathlib import Path

from bezant.app import Services
from bezant.inbox.contract import Account
from bezant.inbox.service import Inbox
from bezant.psp.notices import Notice
from tests.support.disputes import heard, open_dispute
from tests.support.platform import Api, running_platform
from tests.support.verification import assert_verified
from tests.support.waiting import wait_until

ASIDE = "SELECT reason FROM inbox_events WHERE status = 'aside'"


async def _nobody(_psp: str, _name: str | None) -> Account | None:
    return None


async def _apply_without_disputes(services: Services) -> None:
    inbox = Inbox(
        services.database,
        accounts=_nobody,
        webhooks={c.connector.manifest.name: c.connector.webhooks for c in services.endpoints.values()},
        handlers={Notice: services.payments.facts},
        ask=services.payments.ask_again,
        ask_timeout_s=1.0,
        rate_per_s=100,
        retention_days=30,
    )
    (apply,) = [job for job in inbox.jobs() if job.name == "inbox.apply"]
    while await apply.run():
        pass


def test_dispute_that_nobody_handled_is_adopted_by_the_first_who_does(database_url: str, tmp_path: Path) -> None:
    with running_platform(database_url, tmp_path, "--no-jobs", webhooks=True) as platform:
        shop = platform.merchant()
        payment = shop.create().json
        open_dispute(platform, payment)
        kept = "SELECT count(*) FROM inbox_events WHERE type = 'dispute.opened'"
        wait_until(lambda: platform.sql(kept) == [(1,)], what="the dispute to be told")
        platform.with_services(_apply_without_disputes)
        assert platform.sql(ASIDE) == [("no_handler:DisputeNotice",)]
        assert shop.get("/disputes").json["data"] == []

        platform.apis.append(Api(platform.env))
        platform.apis[1].launch()
        platform.apis[1].wait_until_ready()
        assert heard(shop, payment, "needs_response")["round"] == 1
        assert platform.sql(ASIDE) == []
    assert_verified(database_url)
