"""The HTTP calls about kept events, and those that PSPs make."""

from collections.abc import Callable

from bezant.inbox.receive import Receive
from bezant.inbox.records import InboxEventDetail, InboxEventView, InboxFilter, Records
from bezant.web import Call, Page, Reply, Route, json_reply

_WEBHOOKS = "/internal/webhooks"


class InboxApi:
    """The calls, with what they need."""

    def __init__(self, receive: Receive, records: Records, arrived: Callable[[], None], body_max: int) -> None:
        self._receive = receive
        self._records = records
        self._arrived = arrived
        self._body_max = body_max

    def routes(self) -> tuple[Route, ...]:
        """What is served and documented."""
        by_psps = tuple(
            Route("POST", path, handler, prefix=_WEBHOOKS, opaque_body=True, body_max=self._body_max)
            for path, handler in (
                ("/psp/{psp}", self._receive.own),
                ("/psp/{psp}/{psp_account}", self._receive.named),
            )
        )
        return (
            *by_psps,
            Route(
                "GET",
                "/inbox_events",
                self.list,
                scope="inbox:read",
                query=InboxFilter,
                responses={200: Page[InboxEventView]},
            ),
            Route(
                "GET",
                "/inbox_events/{inbox_event_id}",
                self.show,
                scope="inbox:read",
                responses={200: InboxEventDetail},
            ),
            Route(
                "POST",
                "/inbox_events/{inbox_event_id}/retry",
                self.retry,
                scope="inbox:write",
                responses={200: InboxEventDetail},
                errors={409: ("invalid_state",)},
            ),
        )

    async def list(self, call: Call) -> Reply:
        """List what PSPs told of the merchant's payments and to its accounts, newest first."""
        return json_reply(200, await self._records.page(call.principal.merchant_id, call.read_query(InboxFilter)))

    async def show(self, call: Call) -> Reply:
        """Show an inbox event with what the PSP said."""
        return json_reply(200, await self._records.show(call.principal.merchant_id, call.path_params["inbox_event_id"]))

    async def retry(self, call: Call) -> Reply:
        """Try an inbox event again now.

        For one that waits, stands aside, or was of a type that nobody read.
        """
        shown = await self._records.retry(call.principal.merchant_id, call.path_params["inbox_event_id"])
        self._arrived()
        return json_reply(200, shown)
