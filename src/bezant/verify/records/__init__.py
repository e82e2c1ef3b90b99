"""What must hold of idempotency keys, events, owners and texts. Read only."""
