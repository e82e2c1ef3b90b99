"""The double-entry ledger.

Tables owned: ledger_journals, ledger_entries, ledger_balances. Guarantees: each fact is one journal, balanced and
never changed; balances move in the transaction of their entries; a second posting of the same fact is refused by the
primary key. What must not happen here: a journal over two merchants or two currencies, an update, a PSP's word.
"""
