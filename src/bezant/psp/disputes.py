"""What a PSP is asked about disputes, and what it answers."""

from collections.abc import Mapping

import msgspec

from bezant.psp.contract import Failure, Verdict
from bezant.psp.notices import DisputeNotice


class DisputeAsk(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute that a PSP is asked about, or asked to accept.

    `reference`: ours, of the action, and the idempotency key; of a look-up, the dispute's. `dispute_reference`: the
    PSP's own name of the dispute. `psp_reference`: the payment at the PSP.
    """

    reference: str
    dispute_reference: str
    psp_reference: str | None


class EvidenceFile(msgspec.Struct, frozen=True, kw_only=True):
    """A document: PDF, PNG or JPEG, by its content. `reference` is ours, and the idempotency key of its upload."""

    reference: str
    field: str
    name: str
    content_type: str
    content: bytes


class EvidenceAsk(DisputeAsk, frozen=True, kw_only=True):
    """Everything that a merchant brings against a dispute, by the fields of `TEXT_FIELDS` and `FILE_FIELDS`."""

    texts: Mapping[str, str]
    files: tuple[EvidenceFile, ...]


class DisputeState(msgspec.Struct, frozen=True, kw_only=True):
    """What a PSP answered.

    `notice`: the dispute as the PSP holds it, wherever it showed it. To a look-up: APPROVED with a notice, NOT_FOUND or
    UNKNOWN. To evidence and to accepting: APPROVED once it is done, DECLINED with a failure where the PSP will not
    have it, PENDING, UNKNOWN, NOT_EXECUTED as for payments.
    """

    verdict: Verdict
    notice: DisputeNotice | None = None
    failure: Failure | None = None
    detail: str | None = None


TEXT_FIELDS = frozenset(
    {
        "access_activity_log",
        "billing_address",
        "cancellation_policy_disclosure",
        "cancellation_rebuttal",
        "customer_email_address",
        "customer_name",
        "customer_purchase_ip",
        "duplicate_charge_explanation",
        "duplicate_charge_id",
        "product_description",
        "refund_policy_disclosure",
        "refund_refusal_explanation",
        "service_date",
        "shipping_address",
        "shipping_carrier",
        "shipping_date",
        "shipping_tracking_number",
        "uncategorized_text",
    }
)
"""What can be brought in words."""

FILE_FIELDS = frozenset(
    {
        "cancellation_policy",
        "customer_communication",
        "customer_signature",
        "duplicate_charge_documentation",
        "receipt",
        "refund_policy",
        "service_documentation",
        "shipping_documentation",
        "uncategorized_file",
    }
)
"""What can be brought as a document."""
