"""Reconciliation: what PSPs and banks report, explained by the ledger, line by line and operation by operation.

Tables owned: report_files and their parts, quarantined_lines, psp_lines, psp_payouts, bank_accounts, bank_lines, what
of them is open, explained, and the work on breaks. Guarantees: a line and an operation are explained at most once, by
the primary key of `explained`; a line that was reported never changes; what is posted for a line, its explanation and
what its payment becomes commit together; nothing is guessed, so what has two explanations is a break. A run may be
killed anywhere and run again. Must not happen here: a payment's status set by hand, a journal over two merchants.
"""
