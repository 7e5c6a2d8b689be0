"""JAX, where it is installed: an opponent that nothing else needs.

It is asked for one thread, as everybody else has one, before it is imported for the first time.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec

#: How to get it; what stands in the place of its numbers where it is missing.
ABSENT = 'skipped: jax is not installed; pip install -c constraints.txt -e ".[bench]"'


@cache
def without_jax() -> str:
    """Why JAX's numbers are left out; an empty text where JAX is ready, in double precision and on one thread."""
    if find_spec("jax") is None:
        return ABSENT
    os.environ.setdefault("NPROC", "1")  # the size of its pool of threads
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        import jax

        jax.config.update("jax_enable_x64", True)
        jax.numpy.ones(1).block_until_ready()
    except Exception as error:  # whatever is wrong with an installation that no other benchmark needs
        return f"skipped: jax does not run here: {type(error).__name__}: {str(error)[:150]}"
    return ""
