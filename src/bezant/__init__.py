"""Bezant: a self-hosted payment system on PostgreSQL.

Money is never moved twice, never lost, and every cent can be explained. ARCHITECTURE.md is the map.
"""

__version__ = "0.1.0"
