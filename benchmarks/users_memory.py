"""Peak memory of a user's own problem of 7.4 million weights, by autograd, over that of a loop written by hand.

Either is a process of its own that runs StocBiO with a Neumann sum of five terms, from the same start; both must end at
the same point. A vector of weights takes 59 MB, a process without any about 300 MB.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd import grad

from measure import Row

#: We may take so many times the memory of the hand-written loop.
TARGET = 1.3
#: Units of the layer, whose square is the number of weights; data points; iterations.
UNITS, POINTS, STEPS = 2720, 64, 2
TERMS, STEP = 5, 0.1
#: What may lie between the two ends, relative to the larger.
TOLERANCE = 1e-10

Loss = Callable[[Tensor, Tensor], Tensor]


def rows(units: int = UNITS) -> dict[str, Row]:
    """Both peaks, and their ratio.

    Raises:
        ArithmeticError: the two do not end at the same point.
    """
    if not Path("/proc/self/status").exists():
        return {"over/users/memory/by_hand": Row(None, "×", note="skipped: a peak of memory is read from /proc")}
    found = {who: _process(who, units) for who in ("ours", "by_hand")}
    ends = [one["end"] for one in found.values()]
    apart = max(abs(a - b) / max(abs(a), abs(b)) for a, b in zip(*ends, strict=True))
    if not apart <= TOLERANCE:
        raise ArithmeticError(f"memory: the hand-written loop ends {apart:g} from ours; its peak means nothing")
    note = f"StocBiO, {units**2 / 1e6:.1f} million weights, Neumann sum of {TERMS}, float64; peak of a process"
    peaks = {who: one["peak"] for who, one in found.items()}
    own = [one["peak"] - one["before"] for one in found.values()]
    ratio, said = peaks["ours"] / peaks["by_hand"], f"one run each; {note}; without imports {own[0] / own[1]:.3g}×"
    return {
        "agreement/users/memory": Row(apart, "largest difference", TOLERANCE, "users/memory/by_hand", True, "|x|, |y|"),
        **{f"users/memory/{who}": Row(peak, "MB", note=note) for who, peak in peaks.items()},
        "over/users/memory/by_hand": Row(ratio, "×", TARGET, "users/memory/by_hand", ratio <= TARGET, said),
    }


def _process(who: str, units: int) -> dict:
    command = [sys.executable, __file__, who, str(units)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    return json.loads(done.stdout.splitlines()[-1])


def losses(units: int) -> tuple[Loss, Loss]:
    """f and g: regression by one layer of tanh, with a weight of the regulariser for every row."""
    generator = torch.Generator().manual_seed(0)
    data, checked = torch.randn(2, POINTS, units, generator=generator, dtype=torch.float64) / units**0.5

    def f(x: Tensor, y: Tensor) -> Tensor:
        return (torch.tanh(checked @ y.view(units, units)).sum(1) - 1).square().mean() / units

    def g(x: Tensor, y: Tensor) -> Tensor:
        W = y.view(units, units)
        fit = (torch.tanh(data @ W) - data).square().sum(1).mean()
        return fit + 0.5 * (torch.exp(x)[:, None] * W.square()).sum()

    return f, g


def ours(units: int) -> tuple[Tensor, Tensor]:
    """By ``solve``, with its defaults for what it logs and checks."""
    from unibio import Problem, solve

    f, g = losses(units)
    start = {"x0": torch.zeros(units), "y0": torch.full((units**2,), 1e-3)}
    settings = {"steps": STEPS, "neumann_terms": TERMS, "lower_iterations": 1}
    end = solve(Problem(f, g), "stocbio", **start, **settings)
    return end.x, end.y


def by_hand(units: int) -> tuple[Tensor, Tensor]:
    """The same calls of autograd, and nothing else."""
    f, g = losses(units)
    x = torch.zeros(units, dtype=torch.float64)
    y = torch.full((units**2,), 1e-3, dtype=torch.float32).double()  # as ``solve`` is handed it
    for _ in range(STEPS):
        y.requires_grad_()
        step = grad(g(x, y), y)[0]
        y = (y.detach() - STEP * step).requires_grad_()
        f_y = grad(f(x, y), y)[0]
        v = r = f_y
        for _ in range(TERMS - 1):
            slope = grad(g(x, y), y, create_graph=True)[0]
            r = r - STEP * grad(slope, y, r)[0]
            v = v + r
        x.requires_grad_()
        slope = grad(g(x, y), y, create_graph=True)[0]
        x = (x + STEP * grad(slope, x, STEP * v)[0]).detach()
        y = y.detach()
    return x, y


def _megabytes() -> float:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    torch.set_num_threads(1)
    import unibio.api.solving  # noqa: F401 - a process without it would be smaller for another reason

    before = _megabytes()
    end = {"ours": ours, "by_hand": by_hand}[sys.argv[1]](int(sys.argv[2]))
    print(json.dumps({"before": before, "peak": _megabytes(), "end": [float(part.norm()) for part in end]}))
