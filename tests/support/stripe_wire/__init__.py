"""A double of Stripe that speaks its wire and holds state, as a process of its own.

For what no other double does right: idempotency keys as Stripe documents them, lost replies, declines, refunds that are
late or fail, disputes, the customer's page, search that lags, connected accounts, and signed webhooks. It knows nothing
of Bezant. Payment methods are Stripe's own test methods. `/_wire/...` steers it.
"""
