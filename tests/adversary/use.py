"""How a problem is used, and mistakes there: modes of torch, types of what is given, points and settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from adversary.problems import Written


@dataclass
class Use:
    """How the problem is used: what the mistakes outside of it change.

    Attributes:
        x, y: starts, (d_x,) and (d_y,), or (rows, ·).
        around: the mode that the caller is in.
        rows: how many are wanted.
        truth_at_solution: y was moved: what is right is ∇φ(x), not the formula at that y.
        never_right: there is no number that would be.
        runs: whether a run is asked as well.
        numbers: what seeds and counts are given as.
        low: whether float32 is all that the data have.
    """

    x: Any
    y: Any
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    rows: int = 1
    truth_at_solution: bool = False
    never_right: bool = False
    runs: bool = True
    numbers: Callable[[int], Any] = int
    low: bool = False


@contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def ambient(written: Written, use: Use, rng: np.random.Generator) -> str:
    """Modes of torch that the caller is in."""
    modes: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
        "no_grad": torch.no_grad,
        "inference": torch.inference_mode,
        "default float32": lambda: _default(torch.float32),
        "default float64": lambda: _default(torch.float64),
        "default bfloat16": lambda: _default(torch.bfloat16),
        "grad off": lambda: torch.set_grad_enabled(False),
        "another device": lambda: torch.device("meta"),
    }
    mode = str(rng.choice(list(modes)))
    use.around = modes[mode]
    return mode


def other_types(written: Written, use: Use, rng: np.random.Generator) -> str:
    """Starts, data and counts of other types than the problem's."""
    x, y = (np.asarray(part, dtype=float) for part in (use.x, use.y))
    kind = str(rng.choice(["float32 data", "float32 in one loss", "NumPy's float32", "integers", "pandas", "strides",
                           "lists", "other bytes", "a parameter", "NumPy's counts", "a view"]))  # fmt: skip
    if kind == "float32 data":
        for name in ("H", "K", "b", "c"):
            setattr(written, name, getattr(written, name).float())
        use.low = True
    elif kind == "float32 in one loss":
        written.c = written.c.float()
        use.low = True
    elif kind == "NumPy's float32":
        use.x, use.y, use.low = x.astype(np.float32), y.astype(np.float32), True
    elif kind == "integers":
        use.x = np.round(x).astype(np.int64)
        solved = written.world.solution(use.x.astype(float))
        use.y = y if solved is None else solved
    elif kind == "pandas":
        use.x, use.y = pd.Series(x), pd.Series(y, index=range(5, 5 + len(y)))
    elif kind == "strides":
        use.x, use.y = x[::-1].copy()[::-1], y[::-1].copy()[::-1]
    elif kind == "lists":
        use.x, use.y = x.tolist(), y.tolist()
    elif kind == "other bytes":
        use.x, use.y = x.astype(">f8"), y.astype(">f8")
    elif kind == "a parameter":
        use.x, use.y = (torch.nn.Parameter(torch.as_tensor(part, dtype=written.dtype)) for part in (x, y))
    elif kind == "NumPy's counts":
        use.numbers = np.int64
    else:
        both = torch.as_tensor(np.concatenate([x, y]), dtype=written.dtype)
        use.x, use.y = both[: len(x)], both[len(x) :]
    return kind


def far_from_solution(written: Written, use: Use, rng: np.random.Generator) -> str:
    """A y that is nowhere near y*(x)."""
    away = 10 ** rng.uniform(0.3, 1.5)
    use.y = use.y + torch.as_tensor(away * rng.choice([-1.0, 1.0], len(use.y)), dtype=written.dtype)
    use.truth_at_solution = True
    return f"y − y* of {away:.2g} in every coordinate"
