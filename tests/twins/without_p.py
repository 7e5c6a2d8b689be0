"""Small runs of what the studies of methods without p rest on, intact and broken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from torch import Tensor

from twins.methods import EXPONENTS, Records
from twins.running import run
from unibio.algorithms.linear_system import LinearSystem
from unibio.core.hypergradients import generalised_neumann
from unibio.core.oracle import Oracle


@dataclass(frozen=True)
class WrongSign(LinearSystem):
    """v with the opposite sign."""

    def estimate(self, oracle: Oracle, x: Tensor, y: Tensor, products: int) -> Tensor:
        return -super().estimate(oracle, x, y, products)


@dataclass(frozen=True)
class WithoutD(LinearSystem):
    """D is left out of whatever has it."""

    def estimate(self, oracle: Oracle, x: Tensor, y: Tensor, products: int) -> Tensor:
        plain = "classical" if self.estimator == "generalised" else self.estimator
        if self.estimator == "cg_scaled":
            oracle.problem = replace(oracle.problem, vanishing_hessian=False)
        return LinearSystem.estimate(replace(self, estimator=plain), oracle, x, y, products)


@dataclass(frozen=True)
class Inverted(LinearSystem):
    """The diagonal is multiplied with where it should be divided by."""

    def estimate(self, oracle: Oracle, x: Tensor, y: Tensor, products: int) -> Tensor:
        own = oracle.problem.derivatives
        inverse = {"hessian_diagonal": lambda *at: 1 / own["hessian_diagonal"](*at)} if self.estimator == "pcg" else {}
        inverted = Oracle(replace(oracle.problem, derivatives={**own, **inverse}), oracle.streams, oracle.batch_size)
        return super().estimate(inverted, x, y, products)


@dataclass(frozen=True)
class Shared(LinearSystem):
    """One sample for all factors of the sum."""

    def estimate(self, oracle: Oracle, x: Tensor, y: Tensor, products: int) -> Tensor:
        if self.estimator != "generalised":
            return super().estimate(oracle, x, y, products)
        options = {"terms": products + 1, "step": self.neumann_step, "floor": self.floor}
        return generalised_neumann(oracle, x, y, **options, samples="shared")  # type: ignore[arg-type]


ESTIMATORS: dict[str, type[LinearSystem] | None] = {
    "intact": None,
    "wrong sign": WrongSign,
    "D left out": WithoutD,
    "the diagonal inverted": Inverted,
    "one sample for a sum": Shared,
}
_STEPS = {"coordinatewise": [0.1, 1.0], "hoelder": [0.1, 1.0], "lp_regression": [1e-9, 1e-6, 1e-3, 0.03, 0.1, 0.5]}
_PROBLEMS = (
    {"name": "coordinatewise", "dimension": 3},
    {"name": "hoelder", "dimension": 3},
    {"name": "lp_regression", "size_lower": 60, "size_upper": 40, "size_test": 40, "dimension": 4},
)


@cache
def estimators(breaking: str = "intact") -> Records:
    """Records of estimators, small; with noise at p = 8 where the Hessian vanishes."""
    found = []
    for problem in _PROBLEMS:
        of = str(problem["name"])
        for p in EXPONENTS:
            for name in ("generalised", "classical", "cg", "cg_scaled", "pcg"):
                for noise in (0.0, 0.0625) if of != "lp_regression" and p == 8 else (0.0,):
                    sums = name in ("generalised", "classical")
                    found.append(
                        run(
                            {**problem, "exponent": p, **({"hessian_noise": noise} if noise else {})},
                            {
                                "name": "linear_system",
                                "estimator": name,
                                "most_products": 8,
                                "draws": 64 if noise else 1,
                                "lower_step": 0.3 / (p * (p - 1)) if of == "lp_regression" else 0.1,
                            },
                            {
                                "seed": list(range(8)),
                                "algorithm": {"neumann_step": _STEPS[of] if sums else [1.0]},
                            },
                            ESTIMATORS[breaking],
                            steps=1,
                            log_points=2,
                            targets={},
                        )
                    )
    return {"estimators": found}
