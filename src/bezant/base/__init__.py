"""What every other package stands on: money, identifiers, errors, configuration, the database, batches, logs.

Knows no business word. Imports nothing of Bezant outside this folder.
"""
