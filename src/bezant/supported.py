"""The PSPs that Bezant supports: through which payments go, and whose reports are read."""

from bezant.connectors import adyen, paypal, simulator, stripe

CONNECTORS = (simulator.CONNECTOR, stripe.CONNECTOR)
REPORTS = {c.manifest.name: c.reports for c in CONNECTORS if c.reports} | {m.NAME: m.REPORTS for m in (adyen, paypal)}
"""PSPs whose reports are read; payments do not go through all of them."""
