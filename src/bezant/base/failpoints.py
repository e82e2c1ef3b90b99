"""Named points where a test can make the process die, to prove that nothing is lost there.

Armed only by configuration (`BEZANT_FAILPOINTS="record.before_commit:capture=kill"`); unarmed, a point is one
dictionary look-up. A point may be narrowed to an operation. The one action is `kill`: SIGKILL to this process, as a
power cut would.
"""

import os
import signal
from collections.abc import Iterable

from bezant.base.errors import OperatorError

POINTS = frozenset(
    {
        "accept.before_begin",
        "accept.before_commit",
        "accept.after_commit",
        "call.before_send",
        "call.after_send",
        "record.before_begin",
        "record.before_commit",
        "record.after_commit",
        "dispute_record.before_begin",
        "dispute_record.before_commit",
        "dispute_record.after_commit",
        "inbox.before_commit",
        "inbox.after_commit",
        "inbox_apply.before_commit",
        "inbox_apply.after_commit",
        "relay.before_publish",
        "relay.after_publish",
        "relay.before_commit",
        "relay.after_commit",
        "rotate.before_commit",
        "rotate.after_commit",
        "fan_out.before_commit",
        "fan_out.after_commit",
        "receive.after_part",
        "receive.before_commit",
        "receive.after_commit",
        "load.before_batch_commit",
        "load.after_batch_commit",
        "load.after_taking_back",
        "load.before_loaded",
        "load.after_loaded",
        "settle.before_commit",
        "settle.after_commit",
        "webhooks.after_claim",
        "webhooks.after_send",
        "webhooks.before_commit",
        "webhooks.after_commit",
    }
)

_armed: set[str] = set()


def arm(specification: str) -> None:
    """Arm the points of a comma-separated `point[:operation]=kill` list; an empty text disarms all.

    Raises OperatorError for a point or an action that does not exist.
    """
    _armed.clear()
    for item in filter(None, specification.split(",")):
        where, _, action = item.partition("=")
        if where.partition(":")[0] not in POINTS or action != "kill":
            raise OperatorError(
                f"BEZANT_FAILPOINTS: {item!r} is not of the form point[:operation]=kill with a known point."
            )
        _armed.add(where)


def reach(point: str, operations: Iterable[str] = ()) -> None:
    """Die here if `point`, or `point` for one of `operations`, is armed."""
    if _armed and (point in _armed or any(f"{point}:{operation}" in _armed for operation in operations)):
        os.kill(os.getpid(), signal.SIGKILL)
