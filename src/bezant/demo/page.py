"""The page of a bank or wallet, as the customer's browser sees it."""

from html.parser import HTMLParser

import aiohttp

from bezant.demo.shop import StoryFailed


async def press(web: aiohttp.ClientSession, url: str, decision: str, *, follow: bool) -> str:
    """Open the page and press the button for this decision; where that led, redirects followed or not."""
    async with web.get(url) as response:
        buttons = _Buttons()
        buttons.feed(await response.text())
    name = next((name for name, value in buttons.found if value == decision), None)
    if name is None:
        raise StoryFailed(f"no button {decision!r} at {url}")
    async with web.post(url, data={name: decision}, allow_redirects=follow) as response:
        if response.status >= 400:
            raise StoryFailed(f"the page answered {response.status}")
        return str(response.url)


class _Buttons(HTMLParser):
    """The buttons of a page as (name, value)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag == "button":
            self.found.append((known.get("name") or "", known.get("value") or ""))
