"""What must hold of webhooks to merchants. Read only."""
