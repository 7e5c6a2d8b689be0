"""What a bilevel problem is: min_x f(x, y*(x)) with y*(x) = argmin_y g(x, y).

Losses work on batches of independent rows: ``x`` is (runs, d_x), ``y`` is (runs, d_y), a loss is (runs,). Because rows
do not interact, the gradient of the summed loss holds every row's gradient, and no vmap is needed in a hot path.
A user's scalar loss of 1-d vectors is recognised and lifted to that form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from unibio.draw import Draw, Streams
from unibio.errors import InputError, unknown
from unibio.losses import Loss, Sample, first_row, lift, nonzero, with_sample
from unibio.parameters import Configured

Sampler = Callable[[Draw], Sample]
Metrics = Callable[[Tensor, Tensor], Mapping[str, Tensor]]

#: Derivatives a problem may bring itself, with their signatures; rows as in the losses.
DERIVATIVES = {
    "grad_upper": "(x, y, sample) -> (f_x: (runs, d_x), f_y: (runs, d_y))",
    "grad_lower": "(x, y, sample) -> g_y: (runs, d_y)",
    "grad_lower_x": "(x, y, sample) -> g_x: (runs, d_x)",
    "hvp": "(x, y, v: (runs, d_y), sample) -> ∇²_yy g · v: (runs, d_y)",
    "jvp": "(x, y, v: (runs, d_y), sample) -> ∇²_xy g · v: (runs, d_x)",
}


class LazyMetrics(Mapping[str, Tensor]):
    """Metrics that are computed when they are looked up: most are wanted at logged iterations only."""

    def __init__(self, **functions: Callable[[], Tensor]):
        self._functions = functions

    def __getitem__(self, name: str) -> Tensor:
        return self._functions[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

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
        sample_upper, sample_lower: Draw -> sample, a tensor or a tuple/dict of tensors whose leading dimension is
            runs, or None. A sample must be a function of the Draw alone.
        size_upper, size_lower: number of data points for finite sums; None otherwise.
        project_upper, project_lower: Euclidean projection onto the feasible set; None for the whole space.
        metrics: (x, y) -> {name: (runs,)}, on any device, evaluated where history is logged.
        averaged: names of metrics that are also averaged over *every* iteration; costs one evaluation an iteration.
        derivatives: own derivatives by name (see ``DERIVATIVES``); autograd supplies the rest.
        closed_form: what is known exactly.
        vanishing_hessian: True where f_y and ∇²_yy g vanish together with D(y) as y_i → 0 (Example 3 and relatives),
            False for a regular Hessian (networks, regression). Decides how y near 0 is treated (paper §2).
        weighted: where x holds a weight of every data point of the lower level and f does not depend on it
            (hyper-cleaning): lower-level sample -> the places (runs, s) in x of its data points, None for all of them.
            f_x, and ∇²_xy g off these places, are then known to be 0.
        diagnosed: data points of a minibatch that an algorithm's settings are checked on at the start, by up to a
            hundred Hessian–vector products; None for all there are.
        start: (x0, y0) used when the caller gives none.
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
    project_upper: Callable[[Tensor], Tensor] | None = None
    project_lower: Callable[[Tensor], Tensor] | None = None
    metrics: Metrics | None = None
    averaged: tuple[str, ...] = ()
    derivatives: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    closed_form: ClosedForm = field(default_factory=ClosedForm)
    vanishing_hessian: bool = False
    weighted: Callable[[Sample], Tensor | None] | None = None
    diagnosed: int | None = None
    start: tuple[Tensor, Tensor] | None = None
    batched: bool | None = None
    name: str = "custom"
    _prepared: bool = field(default=False, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for role in ("upper", "lower"):
            if not callable(getattr(self, role)):
                raise InputError(f"{role} must be a function of (x, y) or (x, y, sample), got {getattr(self, role)!r}")
        number = isinstance(self.exponent, (int, float)) and not isinstance(self.exponent, bool)
        if not number or not 2 <= self.exponent < math.inf:
            raise InputError(
                f"exponent must be a number ≥ 2 (uniform convexity, p = 2 is strong), got {self.exponent!r}"
            )
        for name in self.derivatives:
            if name not in DERIVATIVES:
                raise unknown("derivative", name, DERIVATIVES)
        self.upper = with_sample(self.upper, "upper")
        self.lower = with_sample(self.lower, "lower")

    def prepare(self, x: Tensor, y: Tensor) -> None:
        """Settle whether the losses are batched, lift them if not, and check what they return; done once.

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
                self._check_batched(role, x, y)
                continue
            if self.batched is None and self._is_batched(role, x, y):
                continue
            self._check_scalar(role, x, y)
            setattr(self, role, lift(loss, role))
        self._check_derivatives(x, y)
        self._prepared = True

    def _sample(self, role: str, rows: int, like: Tensor) -> Sample:
        sampler = self.sample_upper if role == "upper" else self.sample_lower
        if sampler is None:
            return None
        return sampler(Draw(Streams([0] * rows, like.device, like.dtype), "probe", 0, 2))  # 2: a probe need not be big

    def _is_batched(self, role: str, x: Tensor, y: Tensor) -> bool:
        """Whether a loss maps (rows, d) to (rows,), row by row; decided on different rows of two sizes."""
        loss = getattr(self, role)
        try:
            for rows in (3, 5):
                shift = torch.linspace(0.5, 1.5, rows, dtype=x.dtype, device=x.device)[:, None]
                xs, ys = nonzero(x[:1]) * shift, nonzero(y[:1]) * shift.flip(0)  # unlike each other, too
                values = loss(xs, ys, self._sample(role, rows, x))
                if not isinstance(values, Tensor) or values.shape != (rows,):
                    return False
                near = torch.finfo(x.dtype).eps ** 0.5
                size = near * float(values.detach().abs().max())
                for row in (0, rows - 1):
                    alone = loss(xs[row : row + 1], ys[row : row + 1], self._sample(role, 1, x))
                    if alone.shape != (1,) or not torch.allclose(alone[0], values[row], near, size, equal_nan=True):
                        return False
        except Exception:  # whatever a loss of 1-d vectors says to a matrix; _check_scalar reports what is really wrong
            return False
        return True

    def _check_batched(self, role: str, x: Tensor, y: Tensor) -> None:
        value = getattr(self, role)(x, y, self._sample(role, len(x), x))
        if not isinstance(value, Tensor) or value.shape != (len(x),):
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise InputError(
                f"{role} is declared batched and must return one value per row, shape ({len(x)},), for x: "
                f"{tuple(x.shape)}, y: {tuple(y.shape)}; it returned {got}."
            )

    def _check_scalar(self, role: str, x: Tensor, y: Tensor) -> None:
        sample = first_row(self._sample(role, 1, x))
        try:
            value = getattr(self, role)(x[0], y[0], sample)
        except Exception as error:
            raise InputError(
                f"{role} fails on vectors x: ({x.shape[1]},), y: ({y.shape[1]},): {type(error).__name__}: {error}. It "
                f"must return a scalar for 1-d vectors, or shape (runs,) for x: (runs, d_x), y: (runs, d_y); if it "
                f"does the latter, say batched=True to see what fails."
            ) from error
        if not isinstance(value, Tensor) or value.numel() != 1:
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise InputError(
                f"{role} must return a scalar tensor for 1-d vectors x: ({x.shape[1]},), y: ({y.shape[1]},), or one "
                f"value per row for a batch; it returned {got}."
            )

    def _check_derivatives(self, x: Tensor, y: Tensor) -> None:
        """Own derivatives return rows: a (runs,) instead of (runs, 1) would broadcast into something silently wrong."""
        expected = {"grad_upper": (x, y), "grad_lower": (y,), "grad_lower_x": (x,), "hvp": (y,), "jvp": (x,)}
        for name, own in self.derivatives.items():
            sample = self._sample("upper" if name == "grad_upper" else "lower", len(x), x)
            try:
                value = own(x, y, y, sample) if name in ("hvp", "jvp") else own(x, y, sample)
            except RuntimeError as error:
                raise InputError(f"derivatives[{name!r}] fails on {len(x)} runs: {error}") from error
            parts = value if isinstance(value, tuple) else (value,)
            got, wanted = [tuple(part.shape) for part in parts], [tuple(like.shape) for like in expected[name]]
            if got != wanted:
                raise InputError(f"derivatives[{name!r}] returned {got}, expected {wanted}: {DERIVATIVES[name]}")
            if self.weighted is not None and name in ("grad_upper", "grad_lower_x", "jvp"):
                off = parts[0].clone()
                places = None if name == "grad_upper" else self.weighted(sample)
                if name != "grad_upper":
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

    def reading(self, data: Any) -> Self:
        """The problem with other data, where it is about sentence pairs.

        Args:
            data: :class:`unibio.data.DataSettings`, the ``data`` group of a configuration.

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
