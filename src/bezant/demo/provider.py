"""The PSP that the demo runs with: how it is started, and what Bezant has to know of it."""

import secrets
import shutil
import sys
from pathlib import Path
from typing import Final, Literal

import msgspec

from bezant.base.errors import OperatorError
from bezant.demo.kept import SIMULATOR_PORT, simulator_state
from bezant.demo.processes import bezant_command

PspName = Literal["simulator", "stripe"]

STRIPE_KEY: Final = "sk_test_bezant_demo"
"""localstripe takes any."""

_DECIDES_AFTER_S: Final = "1.5"
_LOCALSTRIPE_PORT: Final = 8420
_LOCALSTRIPE_DEFAULTS: Final = {"BEZANT_SYNC_INTERVAL_S": "5"}
"""Its webhooks come a second late: who asks each second never learns anything from them."""


class Provider(msgspec.Struct, frozen=True):
    """How it is started. `bezant`: variables for Bezant, `defaults`: those that the operator may set otherwise.

    `webhook_secret`: None where both know it from the home.
    """

    name: PspName
    command: list[str]
    usual_port: int
    bezant: dict[str, str]
    defaults: dict[str, str]
    webhook_secret: str | None


def provider(psp: PspName, home: Path) -> Provider:
    """The PSP of that name. Raises OperatorError where it is not installed.

    The simulator keeps its webhooks until it is told where they go, which is known once the API listens.
    """
    if psp == "simulator":
        state = str(simulator_state(home))
        command = bezant_command("simulator", "--state", state, "--webhook-url", "", "--async-delay", _DECIDES_AFTER_S)
        return Provider(psp, command, SIMULATOR_PORT, {}, {}, None)
    secret = f"whsec_{secrets.token_hex(16)}"
    variables = {"BEZANT_PSP_STRIPE_SECRET_KEY": STRIPE_KEY, "BEZANT_PSP_STRIPE_WEBHOOK_SECRET": secret}
    return Provider(
        psp, [_localstripe(), "--from-scratch"], _LOCALSTRIPE_PORT, variables, _LOCALSTRIPE_DEFAULTS, secret
    )


def _localstripe() -> str:
    """Where localstripe is: beside this Python, else on PATH."""
    program = shutil.which("localstripe", path=str(Path(sys.executable).parent)) or shutil.which("localstripe")
    if program is None:
        raise OperatorError(
            "localstripe, which plays Stripe here, is not installed. It is free software under the GPL and runs as a "
            f"process of its own. `make setup` installs it, or `{sys.executable} -m pip install localstripe`."
        )
    return program
