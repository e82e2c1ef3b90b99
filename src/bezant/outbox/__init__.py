"""What Bezant tells the world: appended in the transaction of the change, then relayed to every sink.

Tables owned: outbox_events, outbox_cursors. Guarantees: an event exists if and only if its change was committed; a
merchant reads events in an order in which none appears later behind one that was already read; the events of one
payment are in the order of its changes. Each sink is told every event at least once, and whoever drops repeats by
event id is told those of one payment in order: a teller sends without gaps from where the cursor stands, and the
cursor moves only after the receiver has acknowledged.
"""
