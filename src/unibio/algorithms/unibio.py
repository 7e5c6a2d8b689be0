"""Algorithm 2: UniBiO (Wu, Gong, Hao & Liu, ICLR 2026), with Epoch-SGD as published and with plain steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from torch import Tensor

from unibio.core.algorithm import Algorithm, Diagnosis, State
from unibio.core.epoch_sgd import epoch_sgd, schedule_of
from unibio.core.hypergradients import DEFAULT_FLOOR, generalised_neumann, neumann
from unibio.core.iterations import Iterations, Plan, iterations
from unibio.core.moves import Moves
from unibio.core.neumann import check_sum
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.pcg import Solved, check_solve, solve
from unibio.core.updates import mix, normalised


@dataclass(frozen=True)
class Normalised(Algorithm):
    """The upper level of Algorithm 2: normalised momentum on the generalised Neumann hypergradient, for any solver.

    An ``upper_update`` is given the normalised momentum m/‖m‖ as its direction.
    """

    updates: ClassVar[tuple[str, ...]] = ("upper", "lower")

    upper_step: PerRun = hyper(0.03, "normalised upper-level step", symbol="η", above=0)
    lower_step: PerRun = hyper(1.0, "first step of Epoch-SGD", symbol="γ₁", above=0)
    momentum: PerRun = hyper(0.9, "weight of the old momentum", symbol="β", at_least=0, below=1)
    period: int = hyper(2, "outer iterations between lower-level solves", symbol="I", at_least=1)
    estimator: str = hyper(
        "generalised",
        "the Neumann sum of Theorem 4.1's system or of the classical one, or preconditioned conjugate gradient",
        choices=("generalised", "classical", "pcg"),
    )
    neumann_terms: int = hyper(3, "terms of the Neumann sum", symbol="Q", at_least=1)
    neumann_step: PerRun = hyper(1.0, "step of the Neumann sum", symbol="c = 1/C", above=0)
    neumann_samples: str = hyper("fresh", "samples of the HVPs", choices=("fresh", "shared"))
    floor: float = hyper(DEFAULT_FLOOR, "distance from 0 below which y_i is treated specially", symbol="δ", above=0)
    batch_size: int | None = hyper(None, "minibatch size for finite sums; null means the full batch", at_least=1)
    max_products: int = hyper(20, "HVPs that a solve by estimator=pcg may take", at_least=1, later=True)
    tolerance: float = hyper(1e-6, "relative residual at which estimator=pcg stops", above=0, later=True)
    assumed_exponent: float | None = hyper(
        None, "exponent that the method goes by; null: the problem's own", symbol="p'", at_least=2, later=True
    )

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, t = state["x"], state["y"], state["t"]
        move = self.moves(oracle, state, t)
        if t > 0 and t % self.period == 0:
            y = self.update_lower(oracle, x, y, move)
        h, remembered = self.estimate(oracle, x, y, state)
        m = mix(state["momentum"], h, self.momentum)
        x = oracle.project_upper(move.upper(x, self.upper_step, normalised(m)))
        return {"x": x, "y": y, "momentum": m, "t": t + 1, **remembered, **move.carried}

    def update_lower(self, oracle: Oracle, x: Tensor, y: Tensor, move: Moves) -> Tensor:
        """y of the next period: (runs, d_y)."""
        raise NotImplementedError

    def estimate(self, oracle: Oracle, x: Tensor, y: Tensor, state: State) -> tuple[Tensor, State]:
        """ĥ(x, y), (runs, d_x), as ``estimator`` says, and what the next iteration's estimate asks of this one."""
        if self.estimator != "pcg":
            return self.hypergradient(oracle, x, y), {}
        solved = self.solve_system(oracle, x, y, state.get("diagonal"))
        return solved.estimate, {} if solved.diagonal is None else {"diagonal": solved.diagonal}

    def hypergradient(self, oracle: Oracle, x: Tensor, y: Tensor) -> Tensor:
        """ĥ by a sum: Theorem 4.1's, or for comparison the classical one, which ignores the change of variables."""
        terms, step, samples = self.neumann_terms, self.neumann_step, self.neumann_samples
        if self.estimator == "classical":
            return neumann(oracle, x, y, terms=terms, step=step, samples=samples)
        return generalised_neumann(
            oracle, x, y, terms=terms, step=step, samples=samples, floor=self.floor, exponent=self.assumed_exponent
        )

    def solve_system(self, oracle: Oracle, x: Tensor, y: Tensor, remembered: Tensor | None) -> Solved:
        """ĥ by preconditioned conjugate gradient: of a row that is not solved with what its iterations came to."""
        return solve(
            oracle,
            x,
            y,
            floor=self.floor,
            remembered=remembered,
            tolerance=self.tolerance,
            max_iterations=self.max_products,
        )

    def diagnose(self, oracle: Oracle, state: State) -> Diagnosis:
        if self.estimator == "pcg":
            return check_solve(oracle, state["x"], state["y"], self.tolerance, self.max_products, self.floor)
        floor = self.floor if self.estimator == "generalised" else None
        return check_sum(oracle, state, self.neumann_terms, self.neumann_step, floor, self.assumed_exponent)


@dataclass(frozen=True)
class UniBiO(Normalised):
    """UniBiO, Algorithm 2: normalised momentum on the generalised Neumann hypergradient, lower level by Epoch-SGD.

        y = EpochSGD(x_0, y; K_0);  m = 0
        for t = 0 … T−1:
            if t > 0 and t mod I = 0:  y = EpochSGD(x_t, y; K)
            m = β m + (1−β) ĥ(x_t, y)
            x_{t+1} = x_t − η m/‖m‖

    Assumes a uniformly convex lower level of the problem's exponent p. An iteration costs one upper gradient, Q − 1
    HVPs and one JVP, and every I-th iteration the ⌊T_1⌋ + ⌊T_2⌋ + … ≤ K lower gradients of Algorithm 1. With
    ``estimator="pcg"``, which needs neither p nor c nor Q, it costs in the place of Q − 1 HVPs as many as a run's
    system asks for, and one for a preconditioner. ``assumed_exponent`` makes the method believe in another p than the
    problem's, in Epoch-SGD's schedule and in D.
    """

    name: ClassVar[str] = "unibio"
    in_epochs: ClassVar[bool] = True
    updates: ClassVar[tuple[str, ...]] = ("upper",)
    no_update: ClassVar[Mapping[str, str]] = {
        "lower": "Epoch-SGD's steps halve from epoch to epoch in shrinking balls, and end in an average; unibio_plain "
        "takes plain lower steps, which can have one"
    }

    inner_budget: int = hyper(100, "lower-level steps available to Epoch-SGD", symbol="K", at_least=1)
    warm_budget: int | None = hyper(None, "the same for the warm start; null means K", symbol="K₀", at_least=1)
    first_length: float = hyper(5.0, "length of Epoch-SGD's first epoch", symbol="T₁", at_least=1)
    first_radius: PerRun = hyper(1.0, "radius of the ball in the first epoch", symbol="D₁", above=0)
    average: str = hyper("first", "iterates averaged: w_1…w_T or w_2…w_{T+1}", choices=("first", "last"))

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        warm = self.inner_budget if self.warm_budget is None else self.warm_budget
        return {"x": x, "y": self.solve_lower(oracle, x, y, warm), "momentum": x.new_zeros(x.shape), "t": 0}

    def update_lower(self, oracle: Oracle, x: Tensor, y: Tensor, move: Moves) -> Tensor:
        return self.solve_lower(oracle, x, y, self.inner_budget)

    def compiled_iterations(self, oracle: Oracle, state: State) -> Iterations | None:
        p, declared = oracle.problem.exponent, oracle.problem.separable
        if declared is None or declared.sines is None:  # first, since most problems are asked at every iteration
            return None
        own = [getattr(type(self), name) for name in _METHODS] == _OWN  # whoever replaces one is somebody else
        plain = own and self.estimator == "generalised" and self.upper_update is None
        if not plain or self.assumed_exponent not in (None, p):
            return None
        planned = {name: getattr(self, name) for name in _PLANNED}
        plan = Plan(schedule=schedule_of(self.inner_budget, self.first_length, p), **planned)
        return iterations(oracle, plan, state["x"], state["y"], state["momentum"], state["t"])

    def solve_lower(self, oracle: Oracle, x: Tensor, y: Tensor, budget: int) -> Tensor:
        return epoch_sgd(
            oracle,
            x,
            y,
            budget=budget,
            first_length=self.first_length,
            first_radius=self.first_radius,
            step=self.lower_step,
            average=self.average,
            exponent=self.assumed_exponent,
        )


#: What compiled iterations have to know beside a solve's epochs.
_PLANNED = tuple(spec.name for spec in fields(Plan) if spec.name != "schedule")
#: What they do in the place of.
_METHODS = ("step", "moves", "update_lower", "solve_lower", "estimate", "hypergradient")
_OWN = [getattr(UniBiO, name) for name in _METHODS]


@dataclass(frozen=True)
class PlainUniBiO(Normalised):
    """UniBiO with N plain lower steps every period in the place of Epoch-SGD, as in the released network experiments.

        y = N times  y − ρ g_y(x_0, y);  m = 0
        for t = 0 … T−1:
            if t > 0 and t mod I = 0:  N times:  y ← y − ρ g_y(x_t, y)
            m = β m + (1−β) ĥ(x_t, y)
            x_{t+1} = x_t − η m/‖m‖

    With a handful of steps Epoch-SGD's averaging and its restart at every call lose most of their progress; these
    steps lose none. (The released code also lets gradients add up over the N steps; not here.) An iteration costs one
    upper gradient, Q − 1 HVPs and one JVP, and every I-th iteration N lower gradients.
    """

    name: ClassVar[str] = "unibio_plain"

    lower_step: PerRun = hyper(0.1, "lower-level step", symbol="ρ", above=0)
    lower_iterations: int = hyper(3, "lower steps every period", symbol="N", at_least=1)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        move = self.moves(oracle, {}, 0)
        y = self.update_lower(oracle, x, y, move)
        return {"x": x, "y": y, "momentum": x.new_zeros(x.shape), "t": 0, **move.carried}

    def update_lower(self, oracle: Oracle, x: Tensor, y: Tensor, move: Moves) -> Tensor:
        for _ in range(self.lower_iterations):
            y = oracle.project_lower(move.lower(y, self.lower_step, oracle.grad_lower(x, y)))
        return y
