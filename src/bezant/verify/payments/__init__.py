"""What must hold of payments, refunds and attempts: amounts, reservations, bounds, status, leases. Read only."""
