"""What a bilevel problem is: min_x f(x, y*(x)) with y*(x) = argmin_y g(x, y).

Losses work on batches of independent rows: ``x`` is (runs, d_x), ``y`` is (runs, d_y), a loss is (runs,). Because rows
do not interact, the gradient of the summed loss holds every row's gradient, and no vmap is needed in a hot path.
A user's scalar loss of 1-d vectors is recognised and lifted to that form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from unibio.core.buffers import Buffers
from unibio.core.forms import check_batched, check_scalar, failure, is_batched
from unibio.core.losses import Loss, Sample, lift, with_sample
from unibio.core.parameters import Configured
from unibio.core.separable import Separable
from unibio.core.streams import Draw, Streams
from unibio.errors import InputError, unknown

#: Data points, at most, that settings are checked on where a minibatch is to be enough.
MOST_DIAGNOSED = 100

Sampler = Callable[[Draw], Sample]
Metrics = Callable[..., Mapping[str, Tensor]]

#: Derivatives a problem may bring itself, with their signatures; rows as in the losses. Methods that need one part of
#: the upper gradient take it from grad_upper where it is not there by itself.
DERIVATIVES = {
    "grad_upper": "(x, y, sample) -> (f_x: (runs, d_x), f_y: (runs, d_y))",
    "grad_upper_x": "(x, y, sample) -> f_x: (runs, d_x)",
    "grad_upper_y": "(x, y, sample) -> f_y: (runs, d_y)",
    "grad_lower": "(x, y, sample) -> g_y: (runs, d_y)",
    "grad_lower_x": "(x, y, sample) -> g_x: (runs, d_x)",
    "hvp": "(x, y, v: (runs, d_y), sample) -> ∇²_yy g · v: (runs, d_y)",
    "jvp": "(x, y, v: (runs, d_y), sample) -> ∇²_xy g · v: (runs, d_x)",
    "hessian_diagonal": "(x, y, sample) -> diag ∇²_yy g: (runs, d_y)",
}


def role_of(derivative: str) -> str:
    """The level, "upper" or "lower", whose derivative and sample one of ``DERIVATIVES`` is of."""
    return "upper" if derivative.startswith("grad_upper") else "lower"


class LazyMetrics(Mapping[str, Tensor]):
    """Metrics that are computed when they are looked up: most are wanted at logged iterations only."""

    def __init__(self, **functions: Callable[[], Tensor]):
        self._functions = functions

    def __getitem__(self, name: str) -> Tensor:
        return self._functions[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def keys(self) -> KeysView[str]:
        """Names, as those of a dict, which are compared many times as fast as a mapping's."""
        return self._functions.keys()

    def __len__(self) -> int:
        return len(self._functions)


@dataclass(frozen=True)
class ClosedForm:
    """What is known in closed form about a problem, for metrics and tests. Rows as in the losses."""

    solution: Callable[[Tensor], Tensor] | None = None  # x -> y*(x)
    value: Callable[[Tensor], Tensor] | None = None  # x -> φ(x): (runs,)
    gradient: Callable[[Tensor], Tensor] | None = None  # x -> ∇φ(x)
    inside_clip: Callable[[Tensor], Tensor] | None = None  # y -> bool: where f is not cut off (Example 3)
    minimiser: Tensor | None = None  # x*, (d_x,), where φ has exactly one


@dataclass
class Problem:
    """A bilevel problem.

    Args:
        upper: f(x, y, sample), or f(x, y) where there is nothing to sample. Either batched, (runs, d) tensors in and
            (runs,) out, or a plain scalar function of 1-d vectors; see ``batched``. A third argument that has a
            default receives a sample only if there is one.
        lower: g(x, y, sample) or g(x, y), likewise.
        exponent: p ≥ 2 of the lower level's uniform convexity (Assumption 3.2(i)); 2 is strong convexity.
        sample_upper, sample_lower: Draw -> sample, a tensor or a tuple, list, dict or dataclass of tensors whose
            leading dimension is runs, or None. A sample must be a function of the Draw alone.
        size_upper, size_lower: number of data points for finite sums; None otherwise.
        tasks: Draw -> sample, in the place of both samplers: one sample an outer iteration, which derivatives of both
            levels share (meta-learning).
        restart: x: (runs, d_x) -> y: (runs, d_y), where y begins again in every outer iteration; None where it goes on.
        project_upper, project_lower: Euclidean projection onto the feasible set; None for the whole space.
        metrics: (x, y) -> {name: (runs,)}, on any device, evaluated where history is logged.
        buffers: what is stored along with y, by lower steps alone: running statistics, say. ``metrics`` and ``view``
            are then given them as a last argument, (runs, b) and (b,). None for nothing.
        averaged: names of metrics that are also averaged over *every* iteration; costs one evaluation an iteration.
        derivatives: own derivatives by name (see ``DERIVATIVES``); autograd supplies the rest.
        approximate: names of own derivatives that are not those of the losses, and need not be: a Gauss–Newton product,
            say. They are not compared with the losses.
        closed_form: what is known exactly.
        vanishing_hessian: True where f_y and ∇²_yy g vanish together with D(y) as y_i → 0 (Example 3 and relatives),
            False for a regular Hessian (networks, regression). Decides how y near 0 is treated (paper §2).
        weighted: where x holds a weight of every data point of the lower level and f does not depend on it
            (hyper-cleaning): lower-level sample -> the places (runs, s) in x of its data points, None for all of them.
            f_x, and ∇²_xy g off these places, are then known to be 0.
        separable: what the lower level consists of, where it falls apart into coordinates; its ``derivatives`` and
            ``sample`` are then the problem's own ``derivatives`` and ``sample_lower``: solvers may use compiled loops.
        diagnosed: data points of a minibatch that an algorithm's settings are checked on at the start, by up to a
            hundred Hessian–vector products; None for all there are, "minibatch" for as many as a run's minibatches
            have, and at most 100.
        start: (x0, y0) used when the caller gives none.
        like: a tensor whose type and device a run has where nobody says otherwise; None for float64 on the CPU.
        view: what a user sees of an iterate, (role, vector: (d,)) -> a module, say; None for the vector alone.
        batched: True or False to state the losses' form; None finds out at the first call, from the start given then.
        name: for records and messages.

    Raises:
        InputError: exponent below 2, non-callable losses, unknown derivative names.
    """

    upper: Loss
    lower: Loss
    exponent: float = 2
    sample_upper: Sampler | None = None
    sample_lower: Sampler | None = None
    size_upper: int | None = None
    size_lower: int | None = None
    tasks: Sampler | None = None
    restart: Callable[[Tensor], Tensor] | None = None
    project_upper: Callable[[Tensor], Tensor] | None = None
    project_lower: Callable[[Tensor], Tensor] | None = None
    metrics: Metrics | None = None
    averaged: tuple[str, ...] = ()
    derivatives: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    approximate: tuple[str, ...] = ()
    closed_form: ClosedForm = field(default_factory=ClosedForm)
    vanishing_hessian: bool = False
    weighted: Callable[[Sample], Tensor | None] | None = None
    separable: Separable | None = None
    diagnosed: int | str | None = None
    start: tuple[Tensor, Tensor] | None = None
    like: Tensor | None = None
    view: Callable[..., Any] | None = None
    buffers: Buffers | None = None
    batched: bool | None = None
    name: str = "custom"
    _prepared: bool = field(default=False, init=False, repr=False, compare=False)
    #: What a probe found, by what it depends on: see :mod:`unibio.core.probe`.
    findings: dict[Any, tuple[str, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for number in ("exponent", "size_upper", "size_lower", "diagnosed"):
            if isinstance(getattr(self, number), np.generic):  # NumPy's integers are none of Python's
                setattr(self, number, getattr(self, number).item())
        for role in ("upper", "lower"):
            if not callable(getattr(self, role)):
                raise InputError(f"{role} must be a function of (x, y) or (x, y, sample), got {getattr(self, role)!r}")
        real = isinstance(self.exponent, (int, float)) and not isinstance(self.exponent, bool)
        if not real or not 2 <= self.exponent < math.inf:
            raise InputError(
                f"exponent must be a number ≥ 2 (uniform convexity, p = 2 is strong), got {self.exponent!r}"
            )
        for name in ("size_upper", "size_lower"):
            size = getattr(self, name)
            if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
                raise InputError(f"{name} must be a number of data points, an integer ≥ 1, or None, got {size!r}")
        looked = self.diagnosed
        counted = isinstance(looked, int) and not isinstance(looked, bool) and looked >= 1
        if looked not in (None, "minibatch") and not counted:
            raise InputError(
                f"diagnosed must be a number of data points, ≥ 1, 'minibatch', or None for all, got {looked!r}"
            )
        for name in self.derivatives:
            if name not in DERIVATIVES:
                raise unknown("derivative", name, DERIVATIVES)
        for name in self.approximate:
            if name not in self.derivatives:
                raise unknown("own derivative in approximate,", name, self.derivatives)
        if self.tasks is not None and (self.sample_upper is not None or self.sample_lower is not None):
            raise InputError("tasks gives the samples of both levels: leave sample_upper and sample_lower out")
        self.upper = with_sample(self.upper, "upper")
        self.lower = with_sample(self.lower, "lower")

    def prepare(self, x: Tensor, y: Tensor) -> None:
        """Settle whether the losses are batched, lift them if not, and check what they return; done once.

        Whether the numbers are right is another question: see :mod:`unibio.core.probe`.

        Args:
            x, y: a start, (runs, d_x) and (runs, d_y).

        Raises:
            InputError: a loss returns neither a scalar for vectors nor one value per row for a batch, or an own
                derivative has the wrong shape.
        """
        if self._prepared:
            return
        for role in ("upper", "lower"):
            loss = getattr(self, role)
            if hasattr(loss, "lifted"):  # this problem was copied from a prepared one
                continue
            if self.batched:
                check_batched(loss, role, x, y, self.probed(role, range(len(x)), x))
                continue
            if self.batched is None and is_batched(loss, x, y, partial(self.probed, role, like=x)):
                continue
            check_scalar(loss, role, x, y, self.probed(role, [0], x))
            setattr(self, role, lift(loss, role))
        self._check_derivatives(x, y)
        declared = self.own_separable()
        if declared is not None:
            declared.check(x, y, *(self.probed(role, range(len(x)), x) for role in ("upper", "lower")))
        self._prepared = True

    def looked_at(self, batch_size: int | None) -> int | None:
        """Data points that settings are checked on at the start of a run with such minibatches; None for all."""
        if self.diagnosed == "minibatch":
            return MOST_DIAGNOSED if batch_size is None else min(batch_size, MOST_DIAGNOSED)
        assert not isinstance(self.diagnosed, str)  # which __post_init__ has checked
        return self.diagnosed

    def measured(self, x: Tensor, y: Tensor, buffers: Tensor | None = None) -> Mapping[str, Tensor]:
        """The problem's own metrics, which it must have; ``buffers`` None stands for those of the start."""
        assert self.metrics is not None
        if self.buffers is None:
            return self.metrics(x, y)
        return self.metrics(x, y, self.buffers.begin(y) if buffers is None else buffers)

    def own_separable(self) -> Separable | None:
        """The declared structure, where derivatives and sampler are still its own: a copy may have replaced them."""
        declared = self.separable
        if declared is None or self.exponent != declared.exponent or self.size_lower is not None:
            return None
        sampler = None if declared.level is None else declared.sample
        return declared if self.derivatives == declared.derivatives and self.sample_lower == sampler else None

    def probed(self, role: str, seeds: Sequence[int], like: Tensor, size: int | None = 2) -> Sample:
        """A sample to look at a level with, which no run draws.

        Args:
            role: "upper" or "lower".
            seeds: one per row.
            like: an iterate, whose type and device it has.
            size: data points; a probe need not be big.
        """
        sampler = self.tasks or (self.sample_upper if role == "upper" else self.sample_lower)
        return None if sampler is None else sampler(Draw(Streams(seeds, like.device, like.dtype), "probe", 0, size))

    def _check_derivatives(self, x: Tensor, y: Tensor) -> None:
        """Own derivatives return rows: a (runs,) instead of (runs, 1) would broadcast into something silently wrong."""
        expected = {"grad_upper": (x, y), "grad_upper_x": (x,), "grad_upper_y": (y,)}
        expected |= {"grad_lower": (y,), "grad_lower_x": (x,), "hvp": (y,), "jvp": (x,), "hessian_diagonal": (y,)}
        for name, own in self.derivatives.items():
            sample = self.probed(role_of(name), range(len(x)), x)
            try:
                value = own(x, y, y, sample) if name in ("hvp", "jvp") else own(x, y, sample)
            except RuntimeError as error:
                raise InputError(f"derivatives[{name!r}] fails on {len(x)} runs: {failure(error, y)}") from error
            parts = value if isinstance(value, tuple) else (value,)
            got = [tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__ for part in parts]
            wanted = [tuple(like.shape) for like in expected[name]]
            if got != wanted:
                raise InputError(f"derivatives[{name!r}] returned {got}, expected {wanted}: {DERIVATIVES[name]}")
            if self.weighted is not None and name in ("grad_upper", "grad_upper_x", "grad_lower_x", "jvp"):
                off = parts[0].clone()
                places = None if role_of(name) == "upper" else self.weighted(sample)
                if role_of(name) == "lower":
                    off = off.zero_() if places is None else off.scatter_(1, places, 0.0)
                if bool((off != 0).any()):
                    raise InputError(
                        f"weighted says that x only weights data points of the lower level, but derivatives[{name!r}] "
                        "is not 0 where x has no part; leave weighted out, or mend the derivative"
                    )


@dataclass(frozen=True)
class ProblemSpec(Configured):
    """A problem by its parameters: what a configuration names, and what a grid varies."""

    role: ClassVar[str] = "problem"
    #: Whether it is about sentence pairs, and takes the ``data`` group of a configuration.
    reads_pairs: ClassVar[bool] = False
    #: Metrics of the built problem that are averaged over every iteration, and so can have targets.
    averaged: ClassVar[tuple[str, ...]] = ()

    def build(self) -> Problem:
        """The problem; per-run parameters may be (runs, 1) tensors.

        Raises:
            InputError: parameters that do not fit together, or data that cannot be used.
        """
        raise NotImplementedError

    def check_memory(self, algorithm: Any, runs: int, dtype: torch.dtype, device: torch.device) -> None:
        """Refuse a run that the memory cannot hold, before anything is built; nothing is refused by default.

        Args:
            algorithm: that is to run; what it keeps for data points it tells itself (``remembered``).
            runs: rows.
            dtype, device: of the iterates.

        Raises:
            InputError: it cannot hold it.
        """

    def check_tables(self, algorithm: Any, runs: int, dtype: torch.dtype) -> None:
        """Refuse what an algorithm would keep for this problem's data points and may not, on whatever device.

        Args:
            algorithm: that is to run.
            runs: rows.
            dtype: of the iterates.

        Raises:
            InputError: it is more than the algorithm may take.
        """

    def memory(self, algorithm: Any, runs: int, dtype: torch.dtype) -> int | None:
        """Bytes that :meth:`check_memory` asks for; None where it asks for nothing."""
        return None

    def slowness(self) -> tuple[float, str] | None:
        """What makes a run of this problem long on a CPU: a number to compare and a sentence; None for nothing."""
        return None

    def described(self) -> list[str]:
        """Lines about data that the parameters only point to, for a reader before work starts; none by default."""
        return []

    def unlike_the_paper(self) -> str | None:
        """What keeps these data from being the paper's, as a clause; None where nothing does."""
        return None

    def provenance(self) -> dict[str, Any] | None:
        """What a record notes of data that the parameters only point to: plain values; None for nothing."""
        return None

    def reading(self, data: Any) -> Self:
        """The problem with other data, where it is about sentence pairs.

        Args:
            data: :class:`unibio.data.settings.DataSettings`, the ``data`` group of a configuration.

        Raises:
            InputError: it is not.
        """
        raise InputError(f"problem {self.name} reads no sentence pairs: leave data out")

    def fingerprint(self) -> str | None:
        """A hash of data that the parameters only point to (a file, a data set); None where they say everything.

        It belongs to a record's identity: the same parameters with other data are another run.

        Raises:
            InputError: the data cannot be read.
        """
        return None
