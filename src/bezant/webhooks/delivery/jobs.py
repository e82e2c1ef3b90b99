"""How often the queue is looked at."""

from collections.abc import Sequence

from bezant.jobs.schedule import Job
from bezant.webhooks.delivery.backlog import Backlog
from bezant.webhooks.delivery.deliver import Deliverer

_POLL_S = 0.25
_BACKLOG_EVERY_S = 1.0
_EXPIRE_EVERY_S = 600.0


def webhook_jobs(deliverer: Deliverer, backlog: Backlog) -> Sequence[Job]:
    """Send what is due, as soon as something is known to be; see to backlogs; forget what is old."""
    return (
        Job("webhooks.deliver", deliverer.run, every_s=_POLL_S, wake=deliverer.wake),
        Job("webhooks.backlog", backlog.see_to, every_s=_BACKLOG_EVERY_S),
        Job("webhooks.expire", backlog.expire, every_s=_EXPIRE_EVERY_S),
    )
