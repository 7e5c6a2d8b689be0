"""What an algorithm is: hyper-parameters, ``init`` and ``step``.

An algorithm is a frozen dataclass whose fields are its hyper-parameters. It holds no state and does no I/O: ``init``
makes a state, ``step`` maps a state to the next, and the state is a dict of tensors and numbers, so that it can be
saved and continued. The loop over outer iterations, logging and files live elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from unibio.oracle import Oracle
from unibio.parameters import Configured

State = dict[str, Any]


@dataclass(frozen=True)
class Diagnosis:
    """What an algorithm can say about its settings once it has a point: numbers per row, and warnings."""

    values: dict[str, Tensor] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Algorithm(Configured):
    """Base class. Subclasses set ``name`` and add hyper-parameters as fields made by :func:`~unibio.parameters.hyper`.

    A state must hold ``x`` (runs, d_x) and ``y`` (runs, d_y); every other entry is the algorithm's own. ``step`` may
    write into the state it is given, except into its ``x`` and ``y``: they are the result of a run whose next iterate
    is not finite. All derivatives come from the oracle.
    """

    role: ClassVar[str] = "algorithm"

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        """The state before the first iteration.

        Args:
            oracle: counted derivatives of the problem.
            x, y: the start, (runs, d_x), (runs, d_y); not to be written into.
        """
        raise NotImplementedError

    def step(self, oracle: Oracle, state: State) -> State:
        """One outer iteration."""
        raise NotImplementedError

    def remembered(
        self, points: tuple[int, int], sizes: tuple[int, int], runs: int, weighted: bool, element_size: int
    ) -> int:
        """Bytes that are kept for data points, beside some vectors of the iterates' sizes; none by default.

        Args:
            points: of the upper and of the lower level.
            sizes: d_x, d_y.
            runs: rows.
            weighted: whether x weights the lower level's points (:attr:`~unibio.problem.Problem.weighted`).
            element_size: bytes of a number.

        Raises:
            InputError: it is more than the algorithm may take, or these points cannot be kept so.
        """
        return 0

    def diagnose(self, oracle: Oracle, state: State) -> Diagnosis:
        """Check settings against the problem at the first state. The oracle given here counts for nobody."""
        return Diagnosis()
