"""A connector: what a folder of `connectors/` exports."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from bezant.psp.contract import Ask, Credentials, Holding, Manifest, Operation, Outcome, Send
from bezant.psp.disputes import DisputeAsk, DisputeState, EvidenceAsk
from bezant.psp.notices import Webhooks
from bezant.psp.reports import Pull, Reports

Call = Callable[[Ask, Send], Awaitable[Outcome]]
SubmitEvidence = Callable[[EvidenceAsk, Send], Awaitable[DisputeState]]
OnDispute = Callable[[DisputeAsk, Send], Awaitable[DisputeState]]
Holdings = Callable[[str | None, Send], Awaitable[Sequence[Holding]]]


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """A PSP that Bezant can speak to: its manifest, the five calls, and its webhooks."""

    manifest: Manifest
    authenticate: Callable[[Credentials], Mapping[str, str]]
    """The request headers that carry the credentials."""
    authorize: Call
    capture: Call
    cancel: Call
    refund: Call
    fetch: Call
    """The outcome of `ask` by evidence alone: reads, never moves money. NOT_FOUND where the PSP holds nothing of it."""
    webhooks: Webhooks
    reports: Reports | None = None
    """What its settlement reports are read with."""
    pull: Pull | None = None
    """Which of them it has ready to be fetched."""
    holdings: Holdings | None = None
    """A page of all charges, oldest first, that come after the charge of this name; nothing after the last.

    For `bezant verify --psp`, where the PSP can list everything. Without it each payment is asked for.
    """
    submit_evidence: SubmitEvidence | None = None
    """Hand in all evidence at once, for good. Without it, and without the next two, disputes are only listened to."""
    accept_dispute: OnDispute | None = None
    """Give in: the dispute is lost."""
    fetch_dispute: OnDispute | None = None
    """The dispute as the PSP holds it now. Reads, changes nothing."""

    @property
    def defends(self) -> bool:
        """Whether disputes can be answered at this PSP, and looked up."""
        return None not in (self.submit_evidence, self.accept_dispute, self.fetch_dispute)

    def of(self, operation: Operation) -> Call:
        """The call that performs `operation`."""
        calls = {
            Operation.AUTHORIZE: self.authorize,
            Operation.CAPTURE: self.capture,
            Operation.CANCEL: self.cancel,
            Operation.REFUND: self.refund,
        }
        return calls[operation]
