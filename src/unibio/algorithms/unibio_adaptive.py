"""UniBiO without p: no exponent, no modulus, no smoothness constant, one set of defaults. Ours: docs/adaptive.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.algorithm import Algorithm, Diagnosis, State
from unibio.core.hypergradients import DEFAULT_FLOOR
from unibio.core.oracle import Oracle
from unibio.core.parameters import hyper
from unibio.core.pcg import check_solve, solve
from unibio.core.updates import mix, normalised
from unibio.core.windows import next_window


@dataclass(frozen=True)
class AdaptiveUniBiO(Algorithm):
    """UniBiO that tunes itself: normalised momentum on ĥ by preconditioned conjugate gradient, y by plain SGD.

        w, γ = DoG(x_0, y; K₀);   m = 0;   η = η₀ (1 + ‖x_0‖)
        for t = 0, 1, …:
            y = average of w over  K times  w ← w − γ g_y(x, w),  steps cut at κ times their size in the last window
            m ← β m + (1−β) ĥ(x, y),  ĥ by preconditioned conjugate gradient;      x ← x − η m/‖m‖
            every W iterations, the window:  a, b = sums of ĥ over its halves
                cos(a, b) > c:  η grows, W falls        cos(a, b) < 0:  η shrinks, W grows        else:  W grows
                u, v = ways of w over the halves;   r = (‖u‖² + ‖v‖²)/Σ‖steps‖²
                r > r₊:  γ grows, y does not keep up    r < r₋:  γ shrinks, w is pulled back within the window

    Takes from the problem whether its Hessian vanishes at y_i = 0, and nothing else beside its derivatives: neither p
    nor μ nor L. An iteration costs K lower gradients, one upper gradient, one JVP, and the HVPs of a solve: one for the
    diagonal and as many as a run's system asks for. Every run has its own η, γ and W. No guarantee is known.
    """

    name: ClassVar[str] = "unibio_adaptive"
    no_update: ClassVar[Mapping[str, str]] = {
        "upper": "it finds the length of its upper steps itself; unibio takes one",
        "lower": "it finds the length of its lower steps itself, and averages them; unibio_plain takes one",
    }

    lower_iterations: int = hyper(8, "lower steps an iteration, over which y is averaged", symbol="K", at_least=1)
    warm_iterations: int = hyper(40, "lower steps of the start, by which γ is chosen", symbol="K₀", at_least=2)
    momentum: float = hyper(0.9, "weight of the old momentum", symbol="β", at_least=0, below=1)
    first_step: float = hyper(0.02, "first upper step, relative to 1 + ‖x_0‖", symbol="η₀", above=0)
    window: int = hyper(20, "iterations of the first and shortest window", symbol="W", at_least=2)
    lengthening: float = hyper(1.3, "factor by which windows grow, and fall", at_least=1)
    agreement: float = hyper(0.5, "cosine of a window's halves above which η grows", symbol="c", above=0, below=1)
    upper_growth: float = hyper(1.5, "factor by which η grows", at_least=1)
    upper_shrink: float = hyper(0.6, "factor by which η shrinks", above=0, below=1)
    most_roaming: float = hyper(0.2, "r above which γ grows", symbol="r₊", above=0)
    least_roaming: float = hyper(0.05, "r below which γ shrinks", symbol="r₋", above=0)
    lower_growth: float = hyper(1.5, "factor by which γ grows", at_least=1)
    lower_shrink: float = hyper(0.7, "factor by which γ shrinks", above=0, below=1)
    longest: float = hyper(4.0, "largest lower step, by the last window's typical one", symbol="κ", at_least=1)
    max_products: int = hyper(20, "HVPs that a solve for ĥ may take", at_least=1)
    tolerance: float = hyper(1e-6, "relative residual at which it stops", above=0)
    floor: float = hyper(DEFAULT_FLOOR, "distance from 0 below which y_i is treated specially", symbol="δ", above=0)
    batch_size: int | None = hyper(None, "minibatch size for finite sums; null means the full batch", at_least=1)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        y, gamma, cap = self.warm_start(oracle, x, y)
        ones = torch.ones_like(x[:, :1])
        return {
            "x": x,
            "y": y,
            "w": y,
            "momentum": torch.zeros_like(x),
            "eta": self.first_step * (1 + _norm(x)),
            "gamma": gamma,
            "cap": cap,
            "length": self.window * ones,
            **_fresh_window(x, y),
        }

    def step(self, oracle: Oracle, state: State) -> State:
        x, eta = state["x"], state["eta"]
        half = (state["length"].floor() / 2).floor()
        late = state["place"] >= half
        halfway = torch.where(state["place"] == half, state["w"], state["halfway"])

        y, w, gamma, squares = self.track(oracle, x, state["w"], state["gamma"], state["cap"])
        solved = solve(
            oracle,
            x,
            y,
            tolerance=self.tolerance,
            max_iterations=self.max_products,
            floor=self.floor,
            remembered=state.get("diagonal"),
        )
        h = solved.estimate
        m = mix(state["momentum"], h, self.momentum)
        new = {
            "x": oracle.project_upper(x - eta * normalised(m)),
            "y": y,
            "w": w,
            "momentum": m,
            "eta": eta,
            "gamma": gamma,
            "cap": state["cap"],
            "length": state["length"],
            "place": state["place"] + 1,
            "early": torch.where(late, state["early"], state["early"] + h),
            "late": torch.where(late, state["late"] + h, state["late"]),
            "began": state["began"],
            "halfway": halfway,
            "squares": state["squares"] + squares,
        }
        if solved.diagonal is not None:
            new["diagonal"] = solved.diagonal
        ended = new["place"] >= new["length"].floor()
        if not bool(ended.any()):
            return new
        changed = self.end_window(new)
        return new | {key: torch.where(ended, changed[key], new[key]) for key in changed}

    def warm_start(self, oracle: Oracle, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """DoG (Ivgi, Hinder & Carmon, 2023): steps of the way so far over √Σ‖g‖², averaged over their last half.

        Returns:
            The average (runs, d_y); γ, the last of the steps' factors, (runs, 1), infinite where all gradients were 0;
            the longest step from then on, (runs, 1).
        """
        w, total = y, torch.zeros_like(y)
        way = _FIRST_WAY * (1 + _norm(y))
        squares = torch.zeros_like(way)
        for k in range(self.warm_iterations):
            g = oracle.grad_lower(x, w)
            squares = squares + _norm(g) ** 2
            w = oracle.project_lower(w - torch.where(squares > 0, way / squares.sqrt(), 0.0) * g)
            way = torch.maximum(way, _norm(w - y))
            if 2 * k >= self.warm_iterations:
                total = total + w
        count = self.warm_iterations - (self.warm_iterations + 1) // 2
        cap = self.longest * way / self.warm_iterations**0.5
        return total / count, way / squares.sqrt(), torch.where(squares > 0, cap, torch.inf)

    def track(
        self, oracle: Oracle, x: Tensor, w: Tensor, gamma: Tensor, cap: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """K steps of SGD: the average y of w_1 … w_K, w_{K+1}, γ where it was not known, and Σ‖w_{k+1} − w_k‖²."""
        total, squares = torch.zeros_like(w), torch.zeros_like(gamma)
        for _ in range(self.lower_iterations):
            total = total + w
            g = oracle.grad_lower(x, w)
            size = _norm(g)
            gamma = torch.where(torch.isinf(gamma) & (size > 0), _FIRST_WAY * (1 + _norm(w)) / size, gamma)
            length = torch.where(size > 0, torch.minimum(gamma, cap / size), 0.0)
            before, w = w, oracle.project_lower(w - length * g)
            squares = squares + _norm(w - before) ** 2
        return total / self.lower_iterations, w, gamma, squares

    def end_window(self, state: State) -> State:
        """The next window, its length, η and γ, by what the last one has shown: (runs, ·) each."""
        early, late, w = state["early"], state["late"], state["w"]
        eta, length = next_window(self, early, late, state["eta"], state["length"])
        ones = torch.ones_like(eta)
        ways = _norm(state["halfway"] - state["began"]) ** 2 + _norm(w - state["halfway"]) ** 2
        moved = state["squares"] > 0
        roaming = torch.where(moved, ways / state["squares"], torch.full_like(ones, torch.nan))  # NaN: nothing is known
        grows, shrinks = roaming > self.most_roaming, roaming < self.least_roaming
        gamma = state["gamma"] * torch.where(grows, self.lower_growth, torch.where(shrinks, self.lower_shrink, ones))
        cap = self.longest * (state["squares"] / (state["place"] * self.lower_iterations)).sqrt()
        return {
            "eta": eta,
            "gamma": gamma,
            "length": length,
            "cap": torch.where(shrinks, torch.minimum(cap, state["cap"]), torch.where(moved, cap, state["cap"])),
            **_fresh_window(early, w),
        }

    def diagnose(self, oracle: Oracle, state: State) -> Diagnosis:
        return check_solve(oracle, state["x"], state["y"], self.tolerance, self.max_products, self.floor)


#: How far the first lower step goes, relative to 1 + ‖y‖: short, as the steps after it grow by themselves.
_FIRST_WAY = 0.01


def _fresh_window(x: Tensor, w: Tensor) -> State:
    """What is gathered over a window, at its beginning, for rows like those of x at the lower iterate w."""
    zero = torch.zeros_like(w[:, :1])
    sums = {"early": torch.zeros_like(x), "late": torch.zeros_like(x)}
    return {"place": zero, "squares": zero, "began": w, "halfway": w, **sums}


def _norm(rows: Tensor) -> Tensor:
    """(runs, 1)."""
    return torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
