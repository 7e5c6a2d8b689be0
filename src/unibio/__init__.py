"""unibio: bilevel optimisation with lower-level uniform convexity, reproduced and made comparable.

Public names, described one by one in ``docs/api.md``, are loaded on first use, so that figures and reports, which read
records only, never import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

#: The public names, each with the module that holds it.
_HOME = {
    "Algorithm": "unibio.core.algorithm",
    "ClosedForm": "unibio.core.problem",
    "Comparison": "unibio.api.comparison",
    "Coordinatewise": "unibio.problems.example3",
    "Diagnosis": "unibio.core.algorithm",
    "Draw": "unibio.core.streams",
    "Example3": "unibio.problems.example3",
    "Hoelder": "unibio.problems.hoelder",
    "HypergradientInfo": "unibio.api.judging",
    "InputError": "unibio.errors",
    "Oracle": "unibio.core.oracle",
    "PerRun": "unibio.core.parameters",
    "Problem": "unibio.core.problem",
    "ProblemSpec": "unibio.core.problem",
    "Result": "unibio.api.solving",
    "State": "unibio.core.algorithm",
    "compare": "unibio.api.comparison",
    "conjugate_gradient": "unibio.core.hypergradients",
    "descend": "unibio.core.updates",
    "epoch_sgd": "unibio.core.epoch_sgd",
    "generalised_neumann": "unibio.core.hypergradients",
    "hyper": "unibio.core.parameters",
    "hypergradient": "unibio.api.estimating",
    "mix": "unibio.core.updates",
    "neumann": "unibio.core.hypergradients",
    "normalised": "unibio.core.updates",
    "plot": "unibio.report.plotting",
    "solve": "unibio.api.solving",
}

if TYPE_CHECKING:  # the same names in the only form that type checkers read
    from unibio.api.comparison import Comparison as Comparison
    from unibio.api.comparison import compare as compare
    from unibio.api.estimating import hypergradient as hypergradient
    from unibio.api.judging import HypergradientInfo as HypergradientInfo
    from unibio.api.solving import Result as Result
    from unibio.api.solving import solve as solve
    from unibio.core.algorithm import Algorithm as Algorithm
    from unibio.core.algorithm import Diagnosis as Diagnosis
    from unibio.core.algorithm import State as State
    from unibio.core.epoch_sgd import epoch_sgd as epoch_sgd
    from unibio.core.hypergradients import conjugate_gradient as conjugate_gradient
    from unibio.core.hypergradients import generalised_neumann as generalised_neumann
    from unibio.core.hypergradients import neumann as neumann
    from unibio.core.oracle import Oracle as Oracle
    from unibio.core.parameters import PerRun as PerRun
    from unibio.core.parameters import hyper as hyper
    from unibio.core.problem import ClosedForm as ClosedForm
    from unibio.core.problem import Problem as Problem
    from unibio.core.problem import ProblemSpec as ProblemSpec
    from unibio.core.streams import Draw as Draw
    from unibio.core.updates import descend as descend
    from unibio.core.updates import mix as mix
    from unibio.core.updates import normalised as normalised
    from unibio.errors import InputError as InputError
    from unibio.problems.example3 import Coordinatewise as Coordinatewise
    from unibio.problems.example3 import Example3 as Example3
    from unibio.problems.hoelder import Hoelder as Hoelder
    from unibio.report.plotting import plot as plot
else:
    __all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unibio' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*_HOME, "__version__"]
