"""Hyper-parameters that the second-order methods share, so that one word means one thing in all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unibio.core.algorithm import Algorithm, Diagnosis, State
from unibio.core.neumann import HypergradientSample, check_sum, draw_sample, neumann_at
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.updates import decay


@dataclass(frozen=True)
class TwoSteps(Algorithm):
    """Steps of both levels, η_k = η(k + k₀)^{−a} and ρ_k = ρ(k + k₀)^{−b} for k = 0, 1, …, and a minibatch size.

    The default constants are benchmark_bilevel's.
    """

    upper_step: PerRun = hyper(0.1, "upper-level step", symbol="η", above=0)
    lower_step: PerRun = hyper(0.1, "lower-level step", symbol="ρ", above=0)
    upper_decay: PerRun = hyper(0.0, "the upper step decays like (k + k₀)^(−a)", symbol="a", at_least=0)
    lower_decay: PerRun = hyper(0.0, "the lower step decays like (k + k₀)^(−b)", symbol="b", at_least=0)
    decay_offset: PerRun = hyper(1.0, "where decays start; 1 leaves the first step undecayed", symbol="k₀", above=0)
    batch_size: int | None = hyper(None, "minibatch size for finite sums; null means the full batch", at_least=1)

    def eta(self, k: int) -> PerRun:
        """η_k."""
        return self.upper_step * decay(k, self.upper_decay, self.decay_offset)

    def rho(self, k: int) -> PerRun:
        """ρ_k."""
        return self.lower_step * decay(k, self.lower_decay, self.decay_offset)


@dataclass(frozen=True)
class AuxiliarySteps(TwoSteps):
    """Adds the step of the auxiliary iterate z ≈ H⁻¹f_y, γ_k = γ(k + k₀)^{−c}."""

    auxiliary_step: PerRun = hyper(0.1, "step on the auxiliary iterate z", symbol="γ", above=0)
    auxiliary_decay: PerRun = hyper(0.0, "the auxiliary step decays like (k + k₀)^(−c)", at_least=0)

    def gamma(self, k: int) -> PerRun:
        """γ_k."""
        return self.auxiliary_step * decay(k, self.auxiliary_decay, self.decay_offset)


@dataclass(frozen=True)
class OnePoint(AuxiliarySteps):
    """Adds the choice of samples where g_y, Hz and Jz are evaluated at one point, (x, y, z).

    On a sample of its own each ("fresh") their errors are independent; on one sample for all three ("shared") autograd
    makes them from one graph, and an iteration uses a third of the lower level's data points.
    """

    oracle_samples: str = hyper("fresh", "samples of g_y, Hz and Jz", choices=("fresh", "shared"), later=True)


@dataclass(frozen=True)
class NeumannSteps(TwoSteps):
    """Adds the Neumann estimator ĥ with its Q and c, and a check of c at the start."""

    random_length: ClassVar[bool] = False

    neumann_terms: int = hyper(11, "terms of the Neumann sum", symbol="Q", at_least=1)
    neumann_step: PerRun = hyper(0.1, "step of the Neumann sum", symbol="c", above=0)
    neumann_samples: str = hyper("fresh", "samples of the HVPs", choices=("fresh", "shared"))

    def draw(self, oracle: Oracle, batch_size: int | None = None) -> HypergradientSample:
        """A realisation of the estimator, to be evaluated at one point or several."""
        return draw_sample(
            oracle,
            terms=self.neumann_terms,
            samples=self.neumann_samples,
            random_length=self.random_length,
            batch_size=batch_size,
        )

    def hypergradient(self, oracle: Oracle, x: Tensor, y: Tensor, sample: HypergradientSample) -> Tensor:
        """ĥ of one realisation at a point: (runs, d_x)."""
        return neumann_at(oracle, x, y, sample, terms=self.neumann_terms, step=self.neumann_step)

    def diagnose(self, oracle: Oracle, state: State) -> Diagnosis:
        return check_sum(oracle, state, self.neumann_terms, self.neumann_step)
