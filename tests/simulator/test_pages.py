"""The customer's pages: 3-D Secure and the wallet."""

import aiohttp
import pytest

from tests.support.simulator import Client

RETURN = "https://shop.example/back?cart=7"


@pytest.mark.parametrize("method", ["pm_card_3ds", "pm_wallet"])
async def test_the_customer_approves_and_comes_back(psp: Client, method: str) -> None:
    charge = (await psp.create(method, capture=True, return_url=RETURN)).body
    assert (charge["status"], charge["amount_authorized"]) == ("customer_action", 0)
    path = charge["redirect_url"].removeprefix(psp.url)
    page = await psp.call("GET", path)
    assert page.status == 200
    assert all(f'value="{decision}"' in page.body for decision in ("approve", "refuse"))
    status, location = await decide(charge["redirect_url"], "approve")
    assert (status, location) == (303, f"{RETURN}&charge={charge['id']}&result=approved")
    after = (await psp.call("GET", f"/v1/charges/{charge['id']}")).body
    assert (after["status"], after["amount_captured"], "redirect_url" in after) == ("collected", 1000, False)
    assert (await decide(charge["redirect_url"], "refuse"))[0] == 409


@pytest.mark.parametrize(
    ("method", "code"), [("pm_card_3ds", "authentication_failed"), ("pm_wallet", "customer_refused")]
)
async def test_the_customer_refuses(psp: Client, method: str, code: str) -> None:
    charge = (await psp.create(method, return_url=RETURN)).body
    status, location = await decide(charge["redirect_url"], "refuse")
    assert (status, location) == (303, f"{RETURN}&charge={charge['id']}&result=refused")
    after = (await psp.call("GET", f"/v1/charges/{charge['id']}")).body
    assert (after["status"], after["failure"]["code"], after["amount_authorized"]) == ("refused", code, 0)


async def test_an_awaited_action_can_be_canceled(psp: Client) -> None:
    charge = (await psp.create("pm_card_3ds")).body
    assert (await psp.modify(charge["id"], "cancel")).body["amount"] == 0
    assert (await decide(charge["redirect_url"], "approve"))[0] == 409
    after = (await psp.call("GET", f"/v1/charges/{charge['id']}")).body
    assert (after["status"], after["authorization"]["status"]) == ("voided", "failed")


async def test_names_on_the_page_are_escaped(psp: Client) -> None:
    charge = (await psp.create("pm_card_3ds", payment_reference="<script>x</script>")).body
    page = await psp.call("GET", charge["redirect_url"].removeprefix(psp.url))
    assert "<script>" not in page.body


async def test_there_is_no_page_where_none_is_awaited(psp: Client) -> None:
    charge = (await psp.create()).body
    assert (await psp.call("GET", f"/3ds/{charge['id']}")).status == 404


async def decide(url: str, decision: str) -> tuple[int, str | None]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data={"decision": decision}, allow_redirects=False) as response,
    ):
        return response.status, response.headers.get("location")
