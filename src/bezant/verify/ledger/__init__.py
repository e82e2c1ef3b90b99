"""What must hold of the ledger by itself, and between the ledger and the payments. Read only."""
