"""unibio: bilevel optimisation with lower-level uniform convexity, reproduced and made comparable.

Public names are loaded on first use, so that figures and reports, which read records only, never import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unibio.algorithms.base import Algorithm as Algorithm
    from unibio.api import Result as Result
    from unibio.api import hypergradient as hypergradient
    from unibio.api import solve as solve
    from unibio.comparison import compare as compare
    from unibio.draw import Draw as Draw
    from unibio.errors import InputError as InputError
    from unibio.oracle import Oracle as Oracle
    from unibio.parameters import PerRun as PerRun
    from unibio.parameters import hyper as hyper
    from unibio.problem import ClosedForm as ClosedForm
    from unibio.problem import Problem as Problem
    from unibio.problems.example3 import Coordinatewise as Coordinatewise
    from unibio.problems.example3 import Example3 as Example3

__version__ = "0.1.0"

_HOME = {
    "Algorithm": "unibio.algorithms.base",
    "ClosedForm": "unibio.problem",
    "Coordinatewise": "unibio.problems.example3",
    "Draw": "unibio.draw",
    "Example3": "unibio.problems.example3",
    "InputError": "unibio.errors",
    "Oracle": "unibio.oracle",
    "PerRun": "unibio.parameters",
    "Problem": "unibio.problem",
    "Result": "unibio.api",
    "compare": "unibio.comparison",
    "hyper": "unibio.parameters",
    "hypergradient": "unibio.api",
    "solve": "unibio.api",
}
__all__ = [
    "Algorithm",
    "ClosedForm",
    "Coordinatewise",
    "Draw",
    "Example3",
    "InputError",
    "Oracle",
    "PerRun",
    "Problem",
    "Result",
    "compare",
    "hyper",
    "hypergradient",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unibio' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
