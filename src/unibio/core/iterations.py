"""Whole iterations of Algorithm 2 by compiled loops, on problems that declare how simple they are: the same numbers.

An iteration of few runs consists of some hundred calls of torch on a few numbers each. Where both levels fall apart
into coordinates and are made of sines (:class:`unibio.core.separable.Sines`), a compiled loop does many in one call.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unibio.core import compiled
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun
from unibio.core.separable import Sines
from unibio.core.separable_sgd import Schedule, computable, rounds_alike
from unibio.core.updates import mix
from unibio.core.vectors import MODE, Functions, functions

#: Seconds that a whole iteration takes less.
SAVED = 1.5e-4


@dataclass(frozen=True)
class Plan:
    """An iteration of Algorithm 2: y by Epoch-SGD every so often, the generalised Neumann sum, normalised momentum.

    Attributes: as those of :class:`unibio.algorithms.unibio.UniBiO`; ``schedule`` is that of a solve.
    """

    schedule: Schedule
    first_radius: PerRun
    lower_step: PerRun
    average: str
    period: int
    neumann_terms: int
    neumann_step: PerRun
    neumann_samples: str
    floor: float
    momentum: PerRun
    upper_step: PerRun

    def numbers(self) -> tuple[PerRun, ...]:
        """Those that may differ between runs."""
        return self.first_radius, self.lower_step, self.neumann_step, self.momentum, self.upper_step


def iterations(oracle: Oracle, plan: Plan, x: Tensor, y: Tensor, momentum: Tensor, t: int) -> Iterations | None:
    """Compiled iterations that go on from a state; None where they cannot be had, or are not worth loading.

    Args:
        oracle: counted access to the problem.
        plan: what an iteration is.
        x, y, momentum: (runs, d) each.
        t: iterations done.
    """
    problem, lower = oracle.problem, oracle.problem.own_separable()
    sines = None if lower is None else lower.sines
    if lower is None or sines is None or not lower.linear_noise or not plan.schedule.lengths:
        return None
    theirs = (problem.sample_upper, problem.metrics, problem.project_upper, problem.project_lower, problem.tasks)
    if theirs != (sines.sample, sines.metrics, None, None, None) or problem.averaged != (sines.averaged,):
        return None
    if not (problem.vanishing_hessian or problem.exponent == 2) or problem.restart or problem.buffers:
        return None
    if x.shape != y.shape or not computable(lower, x, y, plan.numbers()) or not compiled.worthwhile(SAVED):
        return None
    epochs, loops = compiled.epochs(), compiled.iterations()
    if epochs is None or loops is None or not rounds_alike(epochs, y.dtype, lower.dimension):
        return None
    found = functions(loops, y.dtype)
    if found is None or not mixes_alike(loops, y.dtype):
        return None
    return Iterations(loops, found, oracle, plan, sines, x, y, momentum, t)


class Iterations:
    """Iterations in compiled loops, and what they work in; see :func:`iterations`.

    Attributes:
        t: iterations done.
    """

    def __init__(
        self,
        loops: ModuleType,
        found: Functions,
        oracle: Oracle,
        plan: Plan,
        sines: Sines,
        x: Tensor,
        y: Tensor,
        momentum: Tensor,
        t: int,
    ):
        self._loops, self._oracle, self._plan, self._shape = loops, oracle, plan, x.shape
        self.t = t
        self._work = torch.zeros((loops.ROWS, *x.shape), dtype=x.dtype)
        for row, part in ((loops.X, x), (loops.Y, y), (loops.MOMENTUM, momentum)):
            self._work[row] = part
        self._iterate = self._work[loops.X : loops.Y + 1]
        self._flat = a = self._work.view(loops.ROWS, -1).numpy()
        self._place = np.zeros(5, dtype=np.int64)
        (runs, d), kind, lower = x.shape, a.dtype, oracle.problem.separable
        assert lower is not None  # iterations has looked
        # None yet of a level with noise; none ever, but as many draws as are asked for, of one without.
        drawn = {"lower": lower.level is not None, "upper": sines.level is not None}
        self._numbers = {
            name: np.empty((0, 0, d) if noisy else (plan.schedule.total, 0, 0), kind) for name, noisy in drawn.items()
        }
        self._first = dict.fromkeys(self._numbers, 0)
        streams = oracle.streams
        levels = [
            np.empty((0, 0), kind) if level is None else level.to(x.dtype).numpy()
            for level in (lower.level, sines.level)
        ]

        def each(value: PerRun) -> NDArray[np.floating]:
            return value.expand(runs, d).reshape(-1).numpy() if isinstance(value, Tensor) else np.asarray([value], kind)

        hessians = 0 if plan.neumann_terms == 1 else 1 if plan.neumann_samples == "shared" else plan.neumann_terms - 1
        exponent, terms, c = int(lower.exponent), plan.neumann_terms, each(plan.neumann_step)
        self._settings = (
            np.empty(0, dtype=np.int64) if streams.distinct else streams.columns,
            *levels,
            plan.schedule.steps(plan.lower_step, kind),
            plan.schedule.radii(plan.first_radius, kind),
            not isinstance(plan.first_radius, Tensor),
            plan.schedule.ends,
            plan.average == "last",
            exponent,
            plan.period,
            terms,
            hessians + 1,
            plan.floor,
            c,
            each(plan.momentum),
            each(plan.upper_step),
            math.sqrt(torch.finfo(x.dtype).tiny),
            found.sine,
            found.cosine,
            MODE,
        )
        self._passed = hessians + 1
        self._metric = torch.empty(runs, dtype=torch.float64)
        self._values = self._metric.numpy()
        loops.waves(found.sine, found.cosine, MODE, a)
        loops.aim(found.cosine, MODE, plan.floor, exponent, terms, c, a)

    def advance(
        self,
        until: int,
        *,
        look: bool,
        largest: float,
        running: NDArray[np.bool_],
        alarms: NDArray[np.float64],
        sums: NDArray[np.float64],
    ) -> bool | None:
        """Iterations up to ``until``, or to the first iterate that somebody has to look at.

        Args:
            until: above ``t``.
            look: at the iterate of ``until``, whatever it is.
            largest: norm of x or y that nobody has to look at.
            running: (runs,) those for which that holds.
            alarms: (runs,) the metric below which somebody has to look.
            sums: (runs,) of the metric at every iterate, which those that nobody looks at are added to.

        Returns:
            None where nobody has to look; else whether all is well, so that it was only asked for.
        """
        loops, oracle, place = self._loops, self._oracle, self._place
        before = self.t
        place[:] = before, 0, oracle.next("lower"), oracle.next("upper"), 0
        watch = (largest / self._shape[1] ** 0.5, running, alarms, self._values, sums)
        while True:
            lower, upper = self._numbers["lower"], self._numbers["upper"]
            came = loops.advance(
                self._flat, self._shape[1], place, until, look, lower, self._first["lower"], upper,
                self._first["upper"], *self._settings, *watch,
            )  # fmt: skip
            if came not in (loops.NUMBERS_LOWER, loops.NUMBERS_UPPER):
                break
            level, index = ("lower", loops.LOWER) if came == loops.NUMBERS_LOWER else ("upper", loops.UPPER)
            self._first[level] = int(place[index])
            self._numbers[level] = oracle.streams.ahead(level, self._first[level], self._shape[1]).numpy()
        self.t = int(place[loops.T])
        self._count(self.t - before, int(place[loops.SOLVES]))
        return None if came == loops.DONE else bool(came == loops.DUE)

    def next_calls(self) -> int:
        """Calls that the next iteration makes."""
        plan = self._plan
        return plan.neumann_terms + 1 + (plan.schedule.total if self.t > 0 and self.t % plan.period == 0 else 0)

    def _count(self, estimates: int, solves: int) -> None:
        """Calls of so many estimates and solves, and the samples that they used."""
        steps, products = solves * self._plan.schedule.total, estimates * (self._plan.neumann_terms - 1)
        counts = {"grad_lower": steps, "grad_upper": estimates, "hvp": products, "jvp": estimates}
        self._oracle.take_all(counts, lower=steps + estimates * self._passed, upper=estimates)

    def point(self) -> dict[str, Tensor]:
        """x and y, (runs, d)."""
        return dict(zip(("x", "y"), self._iterate.clone().unbind(), strict=True))

    def before(self) -> dict[str, Tensor]:
        """x and y of the iterate before."""
        return {"x": self._work[self._loops.OLD_X].clone(), "y": self._work[self._loops.OLD_Y].clone()}

    def metric(self) -> Tensor:
        """‖∇φ‖ at the iterate, (runs,) float64."""
        return self._metric.clone()

    def state(self) -> dict[str, Any]:
        """That of the algorithm."""
        return self.point() | {"momentum": self._work[self._loops.MOMENTUM].clone(), "t": self.t}


@cache
def mixes_alike(loops: ModuleType, dtype: torch.dtype) -> bool:
    """Whether torch computes moving averages and norms of one number as the loops do: asked once."""
    random = np.random.Generator(np.random.Philox(1))
    for size in (*range(1, 40), 1001):
        old, new, weights = (torch.from_numpy(random.random((size, 1)) - shift).to(dtype) for shift in (0.5, 0.5, 0.0))
        for weight in (0.9, 0.3, 0.0, weights):
            each = weight[:, 0] if isinstance(weight, Tensor) else torch.tensor([weight], dtype=dtype)
            found = torch.empty_like(old)
            loops.mixed(*(t.numpy().reshape(-1) for t in (old, new, each, found)))
            if not torch.equal(mix(old, new, weight), found):
                return False
        tiny = old * torch.finfo(dtype).tiny ** 0.55
        for rows in (old, tiny):
            if not torch.equal(torch.linalg.vector_norm(rows, dim=-1), rows.abs()[:, 0]):
                return False
    return True
