"""Names of algorithms and problems. A plain table: what is configurable is what stands here."""

from __future__ import annotations

from unibio.algorithms.base import Algorithm
from unibio.algorithms.released import ReleasedUniBiO
from unibio.algorithms.unibio import UniBiO
from unibio.errors import unknown
from unibio.problem import ProblemSpec
from unibio.problems.example3 import Coordinatewise, Example3

ALGORITHMS: dict[str, type[Algorithm]] = {cls.name: cls for cls in (UniBiO, ReleasedUniBiO)}
PROBLEMS: dict[str, type[ProblemSpec]] = {cls.name: cls for cls in (Example3, Coordinatewise)}


def algorithm_class(name: str) -> type[Algorithm]:
    """The algorithm of a name. Raises InputError with the known names."""
    if name not in ALGORITHMS:
        raise unknown("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]


def problem_class(name: str) -> type[ProblemSpec]:
    """The problem of a name. Raises InputError with the known names."""
    if name not in PROBLEMS:
        raise unknown("problem", name, PROBLEMS)
    return PROBLEMS[name]
