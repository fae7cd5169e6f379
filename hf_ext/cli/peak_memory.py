"""How much memory a run needed at most."""

from __future__ import annotations

import sys


def peak_memory() -> float | None:
    """Give the largest resident memory of this process so far (MB); None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
