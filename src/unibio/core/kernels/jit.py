"""How loops are compiled: without liberties in arithmetic, and kept on the disk, so that a machine compiles once.

Compiled code is kept beside the module, or in the user's cache directory where that is read-only (numba's rules;
``NUMBA_CACHE_DIR`` names another place), by processor and version of the source, and written by renaming, so that the
processes of a pool may share it. Where neither can be written to, every process compiles for itself. It does not follow
changes of this module: after one, delete ``kernels/__pycache__``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.extending import intrinsic

if numba.config.DISABLE_JIT:
    raise ImportError("numba's compiler is switched off (NUMBA_DISABLE_JIT)")


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of arrays and numbers: no reordering of sums, no fused operations but :func:`fma`, no GIL."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": False}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no place to keep it
        return numba.njit(**options)(function)


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c, rounded once, as the processor does it."""
    if not (a == b == c and isinstance(a, numba.types.Float)):
        raise numba.TypingError(f"fma takes three numbers of one floating type, got {a}, {b}, {c}")
    return a(a, b, c), lambda context, builder, signature, values: builder.fma(*values)
