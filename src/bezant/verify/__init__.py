"""Re-derives what must always hold from the rows alone, and names each row that disagrees.

Tables owned: none; it reads all of them. Guarantees: one consistent snapshot, nothing is written, the work grows with
the rows and not with the number of checks per row. What must not happen here: trusting a sum or a status that can be
derived anew; repeating in a message a secret that was found.
"""
