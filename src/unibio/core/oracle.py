"""Stochastic derivatives of a problem, counted.

The oracle is the only caller of a problem's losses while an algorithm runs. Each call may be given a sample, so that
one sample can serve several points, or draws a fresh one. Counts are exact: a gradient, an HVP or a JVP is one call
whatever its batch, and an upper gradient one whether both of its parts are asked for or one. ``samples`` adds up the
data points (or noise realisations) that the calls used, and ``lower_samples`` those of the lower gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from unibio.core.autograd import gradient_and_products, gradients, hessian, mixed_product
from unibio.core.buffers import Held
from unibio.core.problem import Problem
from unibio.core.streams import Draw, Streams
from unibio.errors import InputError

#: The kinds of calls, in the order of the history's columns.
KINDS = ("grad_upper", "grad_lower", "grad_lower_x", "hvp", "jvp", "value_calls")
#: Sums of data points: of the gradients in y of the lower level, and of all calls.
POINTS = ("lower_samples", "samples")


class Sample(NamedTuple):
    """A realised sample and how many data points it stands for."""

    value: Any
    size: int = 1


class Product(Protocol):
    """v ↦ A v, (runs, d) each; ``rows`` (bool, (runs,)): the rows that ask, if not all do."""

    def __call__(self, v: Tensor, rows: Tensor | None = None, /) -> Tensor: ...


class Oracle:
    """Counted first- and second-order access to one problem for a batch of rows.

    Args:
        problem: the problem; its losses must be prepared (see ``Problem.prepare``).
        streams: the rows' random streams.
        batch_size: default minibatch size for finite sums; None means the full batch.

    Attributes:
        iteration: the outer iteration, whose tasks a problem with tasks has as its samples.
        before_call: called before every derivative or value; what it raises ends whatever asked for it.
    """

    def __init__(self, problem: Problem, streams: Streams, batch_size: int | None = None):
        self.problem = problem
        self.streams = streams
        self.batch_size = batch_size
        self.before_call: Callable[[], None] | None = None
        #: What is stored along with y, of problems that store something.
        self.held: Held | None = None
        if problem.buffers is not None:
            self.held = Held(problem.buffers, torch.empty(streams.runs, 0, device=streams.device))
        self._task: tuple[int, Sample] | None = None
        self.iteration = 0
        self._drawn: dict[str, int] = {}
        self._total = dict.fromkeys((*KINDS, *POINTS), 0)
        self._spared: dict[str, Tensor] = {}  # calls made for the batch that some rows did not ask for
        self._frozen = torch.zeros(streams.runs, dtype=torch.bool)
        zeros = torch.zeros(len(self._total), streams.runs, dtype=torch.int64)
        self._at_freeze = dict(zip(self._total, zeros.unbind(), strict=True))

    # Samples ---------------------------------------------------------------------------------------------------

    def draw(self, purpose: str, size: int | None = None) -> Draw:
        """The next draw of a purpose of the algorithm's own, e.g. a random start. Not counted as an oracle call."""
        index = self._drawn.get(purpose, 0)
        self._drawn[purpose] = index + 1
        return Draw(self.streams, purpose, index, size)

    def sample_upper(self, batch_size: int | None = None) -> Sample:
        """A fresh sample ξ of the upper level."""
        return self._sample("upper", self.problem.sample_upper, self.problem.size_upper, batch_size)

    def sample_lower(self, batch_size: int | None = None) -> Sample:
        """A fresh sample ζ of the lower level."""
        return self._sample("lower", self.problem.sample_lower, self.problem.size_lower, batch_size)

    def pass_over_lower(self, count: int, batch_size: int | None = None) -> None:
        """Pass over the next ``count`` samples of the lower level without realising them.

        An estimator whose rows need different numbers of samples must use up the same number in every row, or a
        trajectory's later samples would depend on the other rows of its batch.
        """
        purpose = _purpose("lower", batch_size)
        self._drawn[purpose] = self._drawn.get(purpose, 0) + count

    def next(self, purpose: str) -> int:
        """The index of the next sample of a purpose: "lower" or "upper" of the levels."""
        return self._drawn.get(purpose, 0)

    def take_all(self, counts: Mapping[str, int], lower: int, upper: int) -> None:
        """Count calls of several kinds on samples of one point that are computed elsewhere.

        Args:
            counts: how many, by kind.
            lower, upper: fresh samples of either level that they use.
        """
        problem, total = self.problem, self._total
        for purpose, sampler, count in (("lower", problem.sample_lower, lower), ("upper", problem.sample_upper, upper)):
            if sampler is not None:
                self._drawn[purpose] = self.next(purpose) + count
        for kind, count in counts.items():
            total[kind] += count
            total["samples"] += count
        total["lower_samples"] += counts.get("grad_lower", 0)

    def take(self, kind: str, count: int = 1, samples: int | None = None) -> None:
        """Count calls on samples of one point that are computed elsewhere.

        Args:
            kind: of ``KINDS``.
            count: how many.
            samples: fresh ones of the lower level that they use; None for one each.
        """
        if self.before_call is not None:
            self.before_call()
        if self.problem.sample_lower is not None:
            self.pass_over_lower(count if samples is None else samples)
        for total in (kind, "samples", *(("lower_samples",) if kind == "grad_lower" else ())):
            self._total[total] += count

    def _sample(self, purpose: str, sampler: Any, points: int | None, batch_size: int | None) -> Sample:
        size = batch_size if batch_size is not None else self.batch_size
        if self.problem.tasks is not None:
            if self._task is None or self._task[0] != self.iteration:
                draw = Draw(self.streams, "tasks", self.iteration, size)
                self._task = (self.iteration, Sample(self.problem.tasks(draw)))
            return self._task[1]
        if sampler is None:  # without a sampler a finite sum is always the full one
            return Sample(None, points or 1)
        draw = self.draw(_purpose(purpose, batch_size), size if points is None or size is None else min(size, points))
        return Sample(sampler(draw), 1 if points is None else draw.length(points))

    # Derivatives -----------------------------------------------------------------------------------------------

    def grad_upper(self, x: Tensor, y: Tensor, sample: Sample | None = None) -> tuple[Tensor, Tensor]:
        """(f_x: (runs, d_x), f_y: (runs, d_y)) in one call."""
        sample = sample or self.sample_upper()
        self._count("grad_upper", sample)
        own = self.problem.derivatives.get("grad_upper")
        if own is not None:
            return own(x, y, sample.value)
        f_x, f_y = gradients(self.problem.upper, sample.value, x, y, of="xy")
        return f_x, f_y

    def grad_upper_x(self, x: Tensor, y: Tensor, sample: Sample | None = None) -> Tensor:
        """f_x alone, (runs, d_x): a call as :meth:`grad_upper` is, for whom f_y would be computed in vain."""
        return self._part_of_upper(0, x, y, sample)

    def grad_upper_y(self, x: Tensor, y: Tensor, sample: Sample | None = None) -> Tensor:
        """f_y alone, (runs, d_y): a call as :meth:`grad_upper` is, for whom f_x would be computed in vain."""
        return self._part_of_upper(1, x, y, sample)

    def _part_of_upper(self, part: int, x: Tensor, y: Tensor, sample: Sample | None) -> Tensor:
        sample = sample or self.sample_upper()
        self._count("grad_upper", sample)
        derivatives = self.problem.derivatives
        own, both = derivatives.get("grad_upper_y" if part else "grad_upper_x"), derivatives.get("grad_upper")
        if own is not None:
            return own(x, y, sample.value)
        if both is not None:
            return both(x, y, sample.value)[part]
        (gradient,) = gradients(self.problem.upper, sample.value, x, y, of="y" if part else "x")
        return gradient

    def grad_lower(self, x: Tensor, y: Tensor, sample: Sample | None = None) -> Tensor:
        """g_y: (runs, d_y)."""
        sample = sample or self.sample_lower()
        self._count("grad_lower", sample)
        if self.held is not None:
            self.held.asked(x, y, sample.value)
        own = self.problem.derivatives.get("grad_lower")
        if own is not None:
            return own(x, y, sample.value)
        (g_y,) = gradients(self.problem.lower, sample.value, x, y, of="y")
        return g_y

    def grad_lower_x(self, x: Tensor, y: Tensor, sample: Sample | None = None) -> Tensor:
        """g_x: (runs, d_x)."""
        sample = sample or self.sample_lower()
        self._count("grad_lower_x", sample)
        own = self.problem.derivatives.get("grad_lower_x")
        if own is not None:
            return own(x, y, sample.value)
        (g_x,) = gradients(self.problem.lower, sample.value, x, y, of="x")
        return g_x

    def values(
        self, x: Tensor, y: Tensor, upper: Sample | None = None, lower: Sample | None = None
    ) -> tuple[Tensor, Tensor]:
        """(f: (runs,), g: (runs,)); one call each."""
        upper, lower = upper or self.sample_upper(), lower or self.sample_lower()
        self._count("value_calls", upper)
        self._count("value_calls", lower)
        with torch.no_grad():
            return self.problem.upper(x, y, upper.value), self.problem.lower(x, y, lower.value)

    def value_upper(self, x: Tensor, y: Tensor, sample: Sample | None = None) -> Tensor:
        """f: (runs,)."""
        sample = sample or self.sample_upper()
        self._count("value_calls", sample)
        with torch.no_grad():
            return self.problem.upper(x, y, sample.value)

    def value_lower(self, x: Tensor, y: Tensor, sample: Sample | None = None) -> Tensor:
        """g: (runs,)."""
        sample = sample or self.sample_lower()
        self._count("value_calls", sample)
        with torch.no_grad():
            return self.problem.lower(x, y, sample.value)

    def hvp(self, x: Tensor, y: Tensor, v: Tensor, sample: Sample | None = None, rows: Tensor | None = None) -> Tensor:
        """∇²_yy g · v: (runs, d_y). ``rows`` (bool, (runs,)): the rows that ask; the others' calls do not count."""
        return self._hessian(x, y, sample or self.sample_lower(), once=True)(v, rows)

    def hvp_at(self, x: Tensor, y: Tensor, sample: Sample) -> Product:
        """v ↦ ∇²_yy g · v at one point and sample, keeping one graph for all v; every application is one call.

        It may be given ``rows``, as :meth:`hvp`.
        """
        return self._hessian(x, y, sample, once=False)

    def hessian_diagonal(self, x: Tensor, y: Tensor, sample: Sample | None = None) -> Tensor | None:
        """diag ∇²_yy g, (runs, d_y), where the problem brings it; counts as a product. None where it does not."""
        own = self.problem.derivatives.get("hessian_diagonal")
        if own is None:
            return None
        sample = sample or self.sample_lower()
        self._count("hvp", sample)
        found: Tensor = own(x, y, sample.value)
        return found

    def _hessian(self, x: Tensor, y: Tensor, sample: Sample, once: bool) -> Product:
        """See :meth:`hvp_at`; a graph that is used once gives back its memory while it is."""
        own = self.problem.derivatives.get("hvp")
        if own is not None:

            def apply_own(v: Tensor, rows: Tensor | None = None) -> Tensor:
                self._count_product(sample, rows)
                return own(x, y, v, sample.value)

            return apply_own
        product = hessian(self.problem.lower, sample.value, x, y, once)

        def apply(v: Tensor, rows: Tensor | None = None) -> Tensor:
            self._count_product(sample, rows)
            return product(v)

        return apply

    def jvp(self, x: Tensor, y: Tensor, v: Tensor, sample: Sample | None = None) -> Tensor:
        """∇²_xy g · v, which maps the lower space to the upper: (runs, d_x)."""
        sample = sample or self.sample_lower()
        self._count("jvp", sample)
        own = self.problem.derivatives.get("jvp")
        if own is not None:
            return own(x, y, v, sample.value)
        return mixed_product(self.problem.lower, sample.value, x, y, v)

    def lower_at_once(
        self, x: Tensor, y: Tensor, v: Tensor, sample: Sample | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(g_y, ∇²_yy g · v, ∇²_xy g · v) on one sample, from one graph; counts as a gradient, an HVP and a JVP."""
        sample = sample or self.sample_lower()
        if not self.problem.derivatives.keys().isdisjoint(("grad_lower", "hvp", "jvp")):
            return self.grad_lower(x, y, sample), self.hvp(x, y, v, sample), self.jvp(x, y, v, sample)
        for kind in ("grad_lower", "hvp", "jvp"):
            self._count(kind, sample)
        if self.held is not None:
            self.held.asked(x, y, sample.value)
        return gradient_and_products(self.problem.lower, sample.value, x, y, v)

    def stepped_lower(self, y: Tensor) -> None:
        """A step of the lower level has been taken from y, along a direction of which a gradient there is a part.

        What the problem stores along with y follows it; of most problems this is nothing.

        Raises:
            InputError: no lower gradient was asked for at y since the step before.
        """
        if self.held is not None and not self.held.stepped(y):
            raise InputError(
                "buffers: a lower step was taken from a point at which no lower gradient had been asked for: give "
                "self.moves(...).lower the very y that oracle.grad_lower was given"
            )

    def project_upper(self, x: Tensor) -> Tensor:
        """Projection onto the upper level's feasible set; the identity where there is none."""
        project = self.problem.project_upper
        return x if project is None else project(x)

    def project_lower(self, y: Tensor) -> Tensor:
        """Projection onto the lower level's feasible set; the identity where there is none."""
        project = self.problem.project_lower
        return y if project is None else project(y)

    # Counts ----------------------------------------------------------------------------------------------------

    def _count(self, kind: str, sample: Sample) -> None:
        if self.before_call is not None:
            self.before_call()
        self._total[kind] += 1
        self._total["samples"] += sample.size
        if kind == "grad_lower":
            self._total["lower_samples"] += sample.size

    def _count_product(self, sample: Sample, rows: Tensor | None) -> None:
        """An HVP, which rows (bool, (runs,)) may have asked for without the others."""
        if rows is not None and not bool(rows.all()):
            spared = (~rows.cpu()).to(torch.int64)
            for kind, amount in (("hvp", 1), ("samples", sample.size)):
                self._spared[kind] = self._spared.get(kind, 0) + amount * spared
        self._count("hvp", sample)

    def count_closed_form(self) -> None:
        """Count one upper gradient for a variant that steps along a closed form instead of asking for one."""
        self._count("grad_upper", Sample(None))

    @property
    def lower_samples(self) -> int:
        """Data points of the lower gradients so far; n of them are an epoch. The same for every row that still runs."""
        return self._total["lower_samples"]

    @property
    def calls(self) -> int:
        """Calls of all kinds made so far by rows that are not frozen; the most of any such row where they differ."""
        total = sum(self._total[kind] for kind in KINDS)
        if not self._spared or bool(self._frozen.all()):
            return total
        return total - int(self._spared["hvp"][~self._frozen].min())

    def calls_per_run(self) -> Tensor:
        """Calls of all kinds by every row: (runs,) int64."""
        counts = self.counts()
        return torch.stack([counts[kind] for kind in KINDS]).sum(0)

    def running_counts(self) -> dict[str, int | Tensor]:
        """:meth:`counts` of the rows that are not frozen: one number where they agree, else (runs,) int64."""
        return {kind: now - self._spared[kind] if kind in self._spared else now for kind, now in self._total.items()}

    def counts(self) -> dict[str, Tensor]:
        """Per kind, and of the data points (``POINTS``): (runs,) int64."""
        return {
            kind: torch.where(self._frozen, self._at_freeze[kind], now - self._spared.get(kind, 0))
            for kind, now in self._total.items()
        }

    def running(self) -> Tensor:
        """Rows (bool, (runs,)) that are not frozen."""
        return ~self._frozen

    def freeze(self, rows: Tensor) -> None:
        """Stop counting for rows (bool, (runs,)) that no longer run."""
        new = rows.cpu() & ~self._frozen
        for kind, now in self._total.items():
            self._at_freeze[kind][new] = now - self._spared[kind][new] if kind in self._spared else now
        self._frozen |= new

    def state(self) -> dict[str, Any]:
        """Everything needed to go on elsewhere: draws made and counts."""
        return {
            "drawn": dict(self._drawn),
            "total": dict(self._total),
            "spared": {kind: count.clone() for kind, count in self._spared.items()},
            "frozen": self._frozen.clone(),
            "at_freeze": {kind: count.clone() for kind, count in self._at_freeze.items()},
            **({} if self.held is None else {"buffers": self.held.values.clone()}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self._drawn = dict(state["drawn"])
        self._total = dict(state["total"])
        self._spared = {kind: count.clone() for kind, count in state["spared"].items()}
        self._frozen = state["frozen"].clone()
        self._at_freeze = {kind: count.clone() for kind, count in state["at_freeze"].items()}
        if self.held is not None:
            self.held.values = state["buffers"].to(self.streams.device)


def _purpose(level: str, batch_size: int | None) -> str:
    """Batches of a size of their own are counted apart, so that each size walks through whole epochs."""
    return level if batch_size is None else f"{level} by {batch_size}"
