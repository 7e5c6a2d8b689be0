"""Opponents that nothing else needs: JAX, betty-ml and torchopt, where they are installed.

JAX is asked for one thread, as everybody else has one, before it is imported for the first time.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec

#: How to get one; what stands in the place of its numbers where it is missing.
ABSENT = 'skipped: {} is not installed; pip install -c constraints.txt -e ".[bench]"'
#: betty-ml's last release says that it needs Python below 3.11, works with later ones, and so cannot be in an extra.
ABSENT_BETTY = (
    "skipped: betty-ml is not installed; pip install -c constraints.txt --no-deps --ignore-requires-python betty-ml"
)


@cache
def without_jax() -> str:
    """Why JAX's numbers are left out; an empty text where JAX is ready, in double precision and on one thread."""
    if find_spec("jax") is None:
        return ABSENT.format("jax")
    os.environ.setdefault("NPROC", "1")  # the size of its pool of threads
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        import jax

        jax.config.update("jax_enable_x64", True)
        jax.numpy.ones(1).block_until_ready()
    except Exception as error:  # whatever is wrong with an installation that no other benchmark needs
        return _broken("jax", error)
    return ""


@cache
def without_betty() -> str:
    """Why betty-ml's numbers are left out; an empty text where it can be imported."""
    return ABSENT_BETTY if find_spec("betty") is None else _unimportable("betty.engine")


@cache
def without_torchopt() -> str:
    """Why torchopt's numbers are left out; an empty text where it can be imported."""
    return ABSENT.format("torchopt") if find_spec("torchopt") is None else _unimportable("torchopt")


def _unimportable(module: str) -> str:
    try:
        import_module(module)
    except Exception as error:  # they reach into torch, and a later torch may have moved what they want
        return _broken(module, error)
    return ""


def _broken(name: str, error: Exception) -> str:
    return f"skipped: {name} does not run here: {type(error).__name__}: {str(error)[:150]}"
