"""Benchmarks: figures beside one unit, `pgbench -N` on the same server in the same run.

Each runs on a database of its own, made empty and dropped at the end, with fsync and synchronous_commit on. The load
generator, the API and the database share the machine's cores, so compare ratios, not absolute figures.
"""
