"""The released code's local deviations from the published methods, as named variants: to measure what each one does.

Nobody should run these for results: the registry keeps them apart from the methods, and no list of these names them. By
its name each can be had like a method, in ``solve`` and as ``algorithm=schema_NAME`` of a configuration. Each differs
from the method it is derived from in the one place its docstring names, and says what that does on a quadratic with an
exact oracle, where everything can be computed (tests/algorithms/test_variants.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from unibio.algorithms.saba import SABA
from unibio.algorithms.soba import SOBA, directions
from unibio.algorithms.stocbio import StocBiO
from unibio.algorithms.sustain import SUSTAIN
from unibio.algorithms.ttsa import TTSA
from unibio.algorithms.unibio import UniBiO
from unibio.algorithms.vrbo import VRBO
from unibio.core.algorithm import Algorithm, State
from unibio.core.hypergradients import neumann_sum, precondition
from unibio.core.neumann import HypergradientSample, draw_sample
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.updates import descend

# Estimators ----------------------------------------------------------------------------------------------------------


def headless_neumann_at(
    oracle: Oracle, x: Tensor, y: Tensor, sample: HypergradientSample, *, terms: int, step: PerRun
) -> Tensor:
    """:func:`~unibio.core.neumann.neumann_at` with Σ_{q=1}^{Q} instead of Σ_{q=0}^{Q−1}, the first term missing.

    The limit of v for Q → ∞ is H⁻¹f_y − c f_y: a bias of c‖J f_y‖ that no number of terms removes. Costs Q HVPs on the
    Q − 1 samples of the sum, the last one used twice.
    """
    f_x, f_y = oracle.grad_upper(x, y, sample.upper)
    factors = sample.factors or (sample.jacobian,)
    first = f_y - step * oracle.hvp(x, y, f_y, factors[0])
    v = neumann_sum(lambda r, j: oracle.hvp(x, y, r, factors[min(j, len(factors) - 1)]), first, terms, step)
    return f_x - oracle.jvp(x, y, v, sample.jacobian)


def bare_product_at(
    oracle: Oracle, x: Tensor, y: Tensor, sample: HypergradientSample, *, terms: int, step: PerRun
) -> Tensor:
    """The random-length product c Π_{j≤P}(I − c H_j) f_y without its factor Q, with powers 1 … Q instead of 0 … Q−1.

    In expectation a Q-th of the sum without its first term: v is about Q times too short. Costs P + 1 HVPs.
    """
    assert sample.length is not None  # a whole sum has no length to lose
    f_x, f_y = oracle.grad_upper(x, y, sample.upper)
    v = step * f_y
    factors = (*sample.factors, sample.jacobian)[: int(sample.length.max()) + 1]
    for j, factor in enumerate(factors):
        wanted = sample.length >= j
        v = torch.where(wanted, v - step * oracle.hvp(x, y, v, factor, rows=wanted[:, 0]), v)
    return f_x - oracle.jvp(x, y, v, sample.jacobian)


def transposed_neumann(
    oracle: Oracle, x: Tensor, y: Tensor, *, terms: int, step: PerRun, floor: float, samples: str = "fresh"
) -> Tensor:
    """UniBiO's estimator with D on the wrong side: c Σ_{q<Q} (I − c H D⁻¹)^q D⁻¹ f_y.

    The limit of v is D H⁻¹ D⁻¹ f_y, which is H⁻¹f_y only for p = 2 or where H is diagonal.
    """
    at = precondition(oracle, y, floor)
    f_x, f_y = oracle.grad_upper(x, at.y)
    shared = oracle.sample_lower() if samples == "shared" else None
    v = neumann_sum(lambda r, j: oracle.hvp(x, at.y, r / at.scale, shared), f_y / at.scale, terms, step)
    return f_x - oracle.jvp(x, at.y, v)


#: Why variants with a loop of their own take no rules.
_RELEASED = dict.fromkeys(
    ("upper", "lower", "auxiliary"),
    "its steps are those of the released code; the method that it deviates from takes one",
)

# Methods -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HeadlessStocBiO(StocBiO):
    """StocBiO whose Neumann sum leaves out q = 0. Stops where the biased direction vanishes, not where ∇φ does."""

    name: ClassVar[str] = "stocbio_headless"

    def hypergradient(self, oracle: Oracle, x: Tensor, y: Tensor, sample: HypergradientSample) -> Tensor:
        return headless_neumann_at(oracle, x, y, sample, terms=self.neumann_terms, step=self.neumann_step)


@dataclass(frozen=True)
class BareTTSA(TTSA):
    """TTSA without the factor Q and with powers 1 … Q. It stops where f_x − J v = 0 for a v about Q times too short."""

    name: ClassVar[str] = "ttsa_bare"

    def hypergradient(self, oracle: Oracle, x: Tensor, y: Tensor, sample: HypergradientSample) -> Tensor:
        return bare_product_at(oracle, x, y, sample, terms=self.neumann_terms, step=self.neumann_step)


@dataclass(frozen=True)
class AccumulatingStocBiO(StocBiO):
    """StocBiO whose lower gradients accumulate within a loop: the j-th step moves along the sum of the first j.

    No bias where the lower level is solved, but an error e along an eigenvalue λ follows e ← e − ρλ Σ e: at ρ = 1/λ,
    where the plain step is exact, three steps return −e.
    """

    name: ClassVar[str] = "stocbio_accumulating"
    updates: ClassVar[tuple[str, ...]] = ()
    no_update: ClassVar[Mapping[str, str]] = _RELEASED

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, k = state["x"], state["y"], state["k"]
        total = torch.zeros_like(y)
        for _ in range(self.lower_iterations):
            total = total + oracle.grad_lower(x, y)
            y = oracle.project_lower(descend(y, self.rho(k), total))
        h = self.hypergradient(oracle, x, y, self.draw(oracle))
        return {"x": oracle.project_upper(descend(x, self.eta(k), h)), "y": y, "k": k + 1}


class _OppositeJacobian:
    """An oracle whose JVP has the opposite sign, alone or with the lower level's other derivatives."""

    def __init__(self, oracle: Oracle):
        self._oracle = oracle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._oracle, name)

    def jvp(self, *args: Any) -> Tensor:
        return -self._oracle.jvp(*args)

    def lower_at_once(self, *args: Any) -> tuple[Tensor, Tensor, Tensor]:
        g_y, Hz, Jz = self._oracle.lower_at_once(*args)
        return g_y, Hz, -Jz


@dataclass(frozen=True)
class OppositeSABA(SABA):
    """SABA stepping along f_x + Jz. Bias 2‖J H⁻¹f_y‖: it stops at a point that solves another problem."""

    name: ClassVar[str] = "saba_opposite"

    def step(self, oracle: Oracle, state: State) -> State:
        return super().step(_OppositeJacobian(oracle), state)  # type: ignore[arg-type]


@dataclass(frozen=True)
class HistorySABA(SOBA):
    """SABA with the last ``history`` minibatch values instead of a table: new − previous + mean of the last ones.

    The correction subtracts another minibatch's value, so the noise of single minibatches stays: no convergence at
    constant steps, where SABA converges. Full batch there is no bias, only a lag.
    """

    name: ClassVar[str] = "saba_history"
    updates: ClassVar[tuple[str, ...]] = ()
    no_update: ClassVar[Mapping[str, str]] = _RELEASED

    upper_decay: PerRun = hyper(0.0, "the upper step decays like (k + k₀)^(−a)", at_least=0)
    lower_decay: PerRun = hyper(0.0, "the lower step decays like (k + k₀)^(−b)", at_least=0)
    auxiliary_decay: PerRun = hyper(0.0, "the auxiliary step decays like (k + k₀)^(−c)", at_least=0)
    history: int = hyper(10, "minibatches remembered", at_least=1)

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, z, k = state["x"], state["y"], state["z"], state["k"]
        estimates, remembered = [], {}
        for name, new in zip(
            ("lower", "auxiliary", "upper"), directions(oracle, x, y, z, self.oracle_samples), strict=True
        ):
            held = state.get(name)  # (kept, runs, d), the latest first
            estimates.append(new if held is None else new - held[0] + held.mean(0))
            remembered[name] = new[None] if held is None else torch.cat([new[None], held[: self.history - 1]])
        lower, auxiliary, upper = estimates
        return remembered | {
            "x": oracle.project_upper(descend(x, self.eta(k), upper)),
            "y": oracle.project_lower(descend(y, self.rho(k), lower)),
            "z": descend(z, self.gamma(k), auxiliary),
            "k": k + 1,
        }


@dataclass(frozen=True)
class LaggingSUSTAIN(SUSTAIN):
    """SUSTAIN's recursion on the direction before the last, u_{k−2} and v_{k−2}.

    The old gradient no longer belongs to the old direction. Full batch, where SUSTAIN is exact descent, a gradient that
    alternates in sign comes back (1 + β)/(1 − β) times as large, so that constant steps are stable only up to
    ρλ_max = 2(1 − β)/(1 + β) instead of 2: for β = 0.9, a nineteenth. No bias where it is stable.
    """

    name: ClassVar[str] = "sustain_lagging"

    def step(self, oracle: Oracle, state: State) -> State:
        lagging = {"u": state.get("u lag", state["u"]), "v": state.get("v lag", state["v"])}
        new = super().step(oracle, {key: value for key, value in state.items() if "lag" not in key} | lagging)
        return new | {"u lag": state["u"], "v lag": state["v"]} if state["begun"] else new


@dataclass(frozen=True)
class TwoLengthsSUSTAIN(SUSTAIN):
    """SUSTAIN with a random length of its own at each of the two points.

    No bias, but the difference of the two evaluations keeps the variance of the random length however close the points
    are: the variance reduction of the upper level is gone.
    """

    name: ClassVar[str] = "sustain_two_lengths"

    def draw(self, oracle: Oracle, batch_size: int | None = None) -> HypergradientSample:
        return draw_sample(
            oracle, terms=self.neumann_terms, samples=self.neumann_samples, batch_size=batch_size
        )  # every factor, for lengths drawn later

    def hypergradient(self, oracle: Oracle, x: Tensor, y: Tensor, sample: HypergradientSample) -> Tensor:
        length = oracle.draw("neumann length").integers(self.neumann_terms)
        return super().hypergradient(oracle, x, y, replace(sample, length=length))


@dataclass(frozen=True)
class StaleVRBO(VRBO):
    """VRBO whose first correction compares the new point with itself and is 0.

    Between checkpoints v and u never learn that x has moved: x takes q steps along a direction of the checkpoint's x,
    and the recursion diverges at upper steps about q times smaller than VRBO's.
    """

    name: ClassVar[str] = "vrbo_stale"
    updates: ClassVar[tuple[str, ...]] = ()
    no_update: ClassVar[Mapping[str, str]] = _RELEASED

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, v, u, k = state["x"], state["y"], state["v"], state["u"], state["k"]
        if k % self.period == 0:
            size = self.checkpoint_size(oracle)
            u = oracle.grad_lower(x, y, oracle.sample_lower(size))
            v = self.hypergradient(oracle, x, y, self.draw(oracle, size))
        x = oracle.project_upper(descend(x, self.eta(k), v))
        before = y
        for _ in range(self.lower_iterations):
            lower, sample = oracle.sample_lower(), self.draw(oracle)
            v = v + self.hypergradient(oracle, x, y, sample) - self.hypergradient(oracle, x, before, sample)
            u = u + oracle.grad_lower(x, y, lower) - oracle.grad_lower(x, before, lower)
            before, y = y, oracle.project_lower(descend(y, self.rho(k), u))
        return {"x": x, "y": y, "v": v, "u": u, "k": k + 1}


@dataclass(frozen=True)
class TransposedUniBiO(UniBiO):
    """UniBiO with v → D H⁻¹ D⁻¹ f_y. The same method for p = 2; otherwise it circles a point where ∇φ is not 0."""

    name: ClassVar[str] = "unibio_transposed"

    def hypergradient(self, oracle: Oracle, x: Tensor, y: Tensor) -> Tensor:
        terms, step, samples = self.neumann_terms, self.neumann_step, self.neumann_samples
        return transposed_neumann(oracle, x, y, terms=terms, step=step, samples=samples, floor=self.floor)


#: Every variant with the method it deviates from.
VARIANTS: dict[type[Algorithm], type[Algorithm]] = {
    HeadlessStocBiO: StocBiO,
    BareTTSA: TTSA,
    AccumulatingStocBiO: StocBiO,
    OppositeSABA: SABA,
    HistorySABA: SABA,
    LaggingSUSTAIN: SUSTAIN,
    TwoLengthsSUSTAIN: SUSTAIN,
    StaleVRBO: VRBO,
    TransposedUniBiO: UniBiO,
}
