"""How a folder declares its HTTP calls: one table that is routed, guarded and documented from.

    ROUTES = (
        Route("POST", "/payments", create, scope="payments:write", idempotency="required", request=CreatePayment,
              responses={200: PaymentView, 202: PaymentView}, errors={422: ("amount_too_large",)}),
    )

The first line of the handler's docstring is the call's summary in the reference, the rest its description.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bezant.web.body import BODY_MAX
from bezant.web.call import Call, Reply

Handler = Callable[[Call], Awaitable[Reply]]
Body = type | tuple[type, ...] | None
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
API = "/api/v1"


@dataclass(frozen=True, slots=True)
class Route:
    """One call.

    - `scope`: what a secret key needs; None: anybody may call and the handler authenticates by itself (webhooks).
    - `operator`: about the whole installation, so only with a key of the operator's own.
    - `publishable`: also with a publishable key, and from browsers of any origin.
    - `idempotency`: whether the header is required; its form is checked anyway.
    - `request`, `query`, `responses`, `errors` (codes by status): documentation; the handler reads by `call.read`. A
      response that depends on the key is a tuple of types.
      What every call can answer (400, 401, 403, 404, 413, 415, 429, 503) need not be listed.
    - `prefix`: another one than the API's for what is no part of the API and not in its reference.
    - `opaque_body`: the body is another system's, of any media type, not searched for card data.
    - `streamed`: an opaque body of any length that the handler reads piece by piece from `call.stream`.
    """

    method: Method
    path: str
    handler: Handler
    scope: str | None = None
    operator: bool = False
    publishable: bool = False
    idempotency: Literal["required", "optional"] = "optional"
    request: type | None = None
    query: type | None = None
    responses: Mapping[int, Body] = field(default_factory=dict[int, "Body"])
    errors: Mapping[int, Sequence[str]] = field(default_factory=dict[int, Sequence[str]])
    prefix: str = API
    opaque_body: bool = False
    streamed: bool = False
    body_max: int = BODY_MAX

    @property
    def template(self) -> str:
        """The whole path with its parameters in braces."""
        return self.prefix + self.path

    @property
    def tag(self) -> str:
        """The resource that the call belongs to: the first step of its path."""
        return self.path.split("/")[1]

    @property
    def takes_json(self) -> bool:
        """Whether the body is JSON of ours, which an Idempotency-Key may go with."""
        return self.takes_body and not self.opaque_body and not self.streamed

    @property
    def takes_body(self) -> bool:
        """Whether a body is read."""
        return self.method in ("POST", "PUT", "PATCH")

    def texts(self) -> tuple[str, str]:
        """The summary and the description of the reference, from the handler's docstring."""
        lines = inspect.cleandoc(self.handler.__doc__ or "").partition("\n")
        return lines[0].rstrip("."), lines[2].strip()
