"""The HTTP calls about attempts that wait for a person."""

from bezant.base import ids
from bezant.base.errors import NotFound
from bezant.payments.resolve import AttemptList, Resolution, ResolveAttempt
from bezant.web import Call, Reply, Route, json_reply


class AttemptsApi:
    """The calls about stuck attempts."""

    def __init__(self, resolution: Resolution) -> None:
        self._resolution = resolution

    def routes(self) -> tuple[Route, ...]:
        """What is served and documented."""
        return (
            Route("GET", "/attempts/stuck", self.stuck, scope="payments:read", responses={200: AttemptList}),
            Route(
                "POST",
                "/attempts/{attempt_id}/resolve",
                self.resolve,
                scope="operations:write",
                request=ResolveAttempt,
                responses={200: None},
                errors={
                    409: ("invalid_state", "attempt_in_progress"),
                    422: ("psp_reference_missing", "psp_reference_taken", "amount_too_large"),
                },
            ),
        )

    async def stuck(self, call: Call) -> Reply:
        """List attempts whose outcome could not be found out and that wait for a person."""
        return json_reply(200, AttemptList(await self._resolution.stuck(call.principal.merchant_id)))

    async def resolve(self, call: Call) -> Reply:
        """Resolve an attempt by hand.

        Only with what the PSP itself shows. It is audited, and posts what it says.
        """
        attempt_id = ids.parse(ids.ATTEMPT, call.path_params["attempt_id"])
        if attempt_id is None:
            raise NotFound("There is no such attempt.")
        actor = ids.show(ids.API_KEY, call.principal.key_id)
        reply = await self._resolution.resolve(call.principal.merchant_id, attempt_id, call.read(ResolveAttempt), actor)
        return Reply(reply.status, reply.body)
