"""Whether to use compiled loops (:mod:`unibio.core.kernels`), and when it pays to load them.

A compiled loop computes what torch or NumPy compute without it, to the bit: it is a matter of speed and of nothing
else. So it may be used late, once a process has enough to do, and never where there is no compiler for it. Loading
numba takes half a second of every process: a short run is over by then.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from types import ModuleType

#: Seconds that compiled loops would have saved so far in this process when they are loaded: about what loading takes,
#: so that no run takes more than twice as long as it would if its length were known.
WORTH = 0.4

_saved = 0.0
_forced: bool | None = None
_trouble: str | None = None


def worthwhile(seconds: float) -> bool:
    """Whether to use compiled loops for a piece of work.

    Args:
        seconds: that they would save on it, roughly.
    """
    global _saved  # noqa: PLW0603
    if _trouble is not None:
        return False
    if _forced is not None:
        return _forced
    _saved += seconds
    return _saved >= WORTH


@contextmanager
def forced(on: bool) -> Iterator[None]:
    """Use compiled loops from now on whatever they save, or not at all; in the whole process."""
    global _forced  # noqa: PLW0603
    before, _forced = _forced, on
    try:
        yield
    finally:
        _forced = before


def _tried(load: Callable[[], ModuleType]) -> Callable[[], ModuleType | None]:
    """Loops that are loaded and tried once; None where they cannot be compiled, which is said once."""

    @wraps(load)
    def tried() -> ModuleType | None:
        try:
            loops = load()
            loops.trial()
        except Exception as error:  # of whatever kind: numba is missing, broken, switched off or has no such processor
            _say(error)
            return None
        return loops

    return cache(tried)


@_tried
def philox() -> ModuleType:
    """The random number generator."""
    from unibio.core.kernels import philox as loops

    return loops


@_tried
def epochs() -> ModuleType:
    """Epoch-SGD."""
    from unibio.core.kernels import epochs as loops

    return loops


@_tried
def neumann() -> ModuleType:
    """The generalised Neumann sum."""
    from unibio.core.kernels import neumann as loops

    return loops


@_tried
def iterations() -> ModuleType:
    """Whole iterations of Algorithm 2."""
    from unibio.core.kernels import iterations as loops

    return loops


def _say(error: Exception) -> None:
    global _trouble  # noqa: PLW0603
    if _trouble is None:
        _trouble = f"{type(error).__name__}: {error}"
        warnings.warn(
            "there are no compiled loops here, so that small problems take several times as long, with the same "
            f"numbers; pip install numba ({_trouble})",
            RuntimeWarning,
            stacklevel=3,
        )
