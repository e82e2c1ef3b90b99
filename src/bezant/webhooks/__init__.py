"""Webhooks to merchants: where they want events, what is to be delivered there, and every try.

Tables owned: webhook_endpoints, webhook_deliveries, webhook_tries. Guarantees: every event that an endpoint wants is
sent to it at least once, under the same id each time, until it answers 2xx or the schedule of tries is used up, after
three days where the server does not ask for longer waits; the events of one payment go to one endpoint in order, one at
a time; each request is signed by every secret that is valid then. What must not happen here: a connection to an address
that is not public, unless the operator allows it; a slow endpoint that holds back another; a secret in a row, a log or
a list; a transaction that is open while a merchant's server is asked.
"""
