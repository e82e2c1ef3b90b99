"""What Bezant tells the world, appended in the transaction of the change.

Table owned: outbox_events. Guarantees: an event exists if and only if its change was committed; a merchant reads
events in an order in which none appears later behind one that was already read; the events of one payment are in the
order of its changes.
"""
