"""Everything that is stored sealed, of whatever table, under the newest master key.

Tables owned: none. Reads and writes `key_id` and `sealed` of each table that has them, and nothing else of it. What a
row seals stays the same: only the key changes.
"""
