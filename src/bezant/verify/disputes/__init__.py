"""What must hold of disputes: rounds, what they hold of payments, their journals, actions and evidence. Read only."""
