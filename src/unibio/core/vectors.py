"""Sine and cosine as torch computes them, for compiled loops: the functions of MKL that torch itself calls.

What numba, NumPy or a C library computes may differ in the last bit. So the functions are looked up by their public
names in the library that torch has loaded, and compared with torch before they are used. Where torch has been built
without MKL there are none.
"""

from __future__ import annotations

import ctypes
from functools import cache
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch

#: VML_HA | VML_FTZDAZ_OFF | VML_ERRMODE_IGNORE, with which torch calls them.
MODE = 0x2 | 0x140000 | 0x100
#: Where torch keeps its own code.
_LIBRARY = f"{torch.__path__[0]}/lib/libtorch_cpu.so"
_LETTERS = {torch.float32: "s", torch.float64: "d"}


class Functions(NamedTuple):
    """Addresses."""

    sine: int
    cosine: int


@cache
def functions(loops: ModuleType, dtype: torch.dtype) -> Functions | None:
    """Sine and cosine for numbers of a type; None where there are none, or they are not torch's.

    Args:
        loops: of :func:`unibio.core.compiled.iterations`.
        dtype: float32 or float64.
    """
    letter = _LETTERS[dtype]
    try:
        library = ctypes.CDLL(_LIBRARY)
        found = [getattr(library, f"vm{letter}{name}") for name in ("Sin", "Cos")]
    except (OSError, AttributeError):
        return None
    addresses = Functions(*(int(ctypes.cast(one, ctypes.c_void_p).value or 0) for one in found))
    return addresses if _agree(loops, addresses, dtype) else None


def _agree(loops: ModuleType, found: Functions, dtype: torch.dtype) -> bool:
    """Whether they are torch's, for few numbers and many, small and large ones."""
    random = np.random.Generator(np.random.Philox(0))
    with torch.no_grad():
        for size in (*range(1, 40), 1001, 5000):
            x = torch.from_numpy(random.standard_normal(size) * 10.0 ** random.integers(-3, 4, size)).to(dtype)
            out = torch.empty_like(x)
            for address, function in zip(found, (torch.sin, torch.cos), strict=True):
                loops.apply(address, MODE, x.numpy(), out.numpy())
                if not torch.equal(out, function(x)) or not torch.equal(out, function(x[:, None])[:, 0]):
                    return False
    return True
