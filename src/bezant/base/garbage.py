"""How often memory is searched for cycles."""

import gc


def collect_garbage_seldom() -> None:
    """What lives as long as the process is never looked at again, and young objects less often: a tenth of the CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
