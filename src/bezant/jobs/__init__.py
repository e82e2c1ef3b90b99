"""Work that nobody waits for. The rows themselves are the queue; this only says when to look at them."""
