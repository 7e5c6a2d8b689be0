"""What an algorithm is: hyper-parameters, ``init`` and ``step``.

An algorithm is a frozen dataclass whose fields are its hyper-parameters. It holds no state and does no I/O: ``init``
makes a state, ``step`` maps a state to the next, and the state is a dict of tensors and numbers, so that it can be
saved and continued. The loop over outer iterations, logging and files live elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from torch import Tensor

from unibio.core.iterations import Iterations
from unibio.core.moves import Moves
from unibio.core.oracle import Oracle
from unibio.core.parameters import Configured
from unibio.core.rule_checks import check_once, check_rule
from unibio.core.rules import LEVELS, Update

State = dict[str, Any]


@dataclass(frozen=True)
class Diagnosis:
    """What an algorithm can say about its settings once it has a point: numbers per row, and warnings."""

    values: dict[str, Tensor] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Algorithm(Configured):
    """Base class. Subclasses set ``name`` and add hyper-parameters as fields made by ``hyper``.

    A state must hold ``x`` (runs, d_x) and ``y`` (runs, d_y); every other entry is the algorithm's own. ``step`` may
    write into the state it is given, except into its ``x`` and ``y``: they are the result of a run whose next iterate
    is not finite. All derivatives come from the oracle.
    """

    role: ClassVar[str] = "algorithm"
    #: Whether an iteration solves the lower level by itself, so that y may begin again in each (``Problem.restart``).
    restarts: ClassVar[bool] = False
    #: Whether its lower steps are Epoch-SGD's.
    in_epochs: ClassVar[bool] = False
    #: Of "upper", "lower" and "auxiliary" those whose steps are taken by :meth:`moves`, so that they can have a rule.
    updates: ClassVar[tuple[str, ...]] = ()
    #: Why a level's steps cannot have one, and what to write: {level: clause}.
    no_update: ClassVar[Mapping[str, str]] = {}
    #: Parameters beside LEVEL_step and LEVEL_decay that a rule's own step takes the place of: {level: names}.
    replaced: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    #: Update rules (:mod:`unibio.core.rules`) in the place of plain steps; None for those. A configuration writes them
    #: as :mod:`unibio.core.rule_settings` says, and one without any has the name that it always had.
    upper_update: Update | None = field(default=None, kw_only=True)
    lower_update: Update | None = field(default=None, kw_only=True)
    auxiliary_update: Update | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for level in LEVELS:
            rule = getattr(self, f"{level}_update")
            if rule is not None:
                check_rule(self, level, rule)

    def check_given(self, names: Collection[str]) -> None:
        """Refuse a step that is said twice, by a parameter and by a rule, even where the parameter has its default.

        Args:
            names: of the parameters that somebody gave.

        Raises:
            InputError: naming both.
        """
        for level in LEVELS:
            check_once(self, level, getattr(self, f"{level}_update"), names)

    def can_vary(self) -> list[str]:
        """Names of parameters that may differ between runs, those of its rules as "lower_update.step"."""
        rules = {f"{level}_update": getattr(self, f"{level}_update") for level in LEVELS}
        return [*self.per_run(), *(f"{key}.{name}" for key, rule in rules.items() if rule for name in rule.vary)]

    def rule_axes(self) -> dict[str, tuple[float, ...]]:
        """The numbers of its rules of which there are several: {"lower_update.step": values}."""
        rules = {f"{level}_update": getattr(self, f"{level}_update") for level in LEVELS}
        return {f"{key}.{name}": some for key, rule in rules.items() if rule for name, some in rule.axes().items()}

    def having(self, values: Mapping[str, Any]) -> Self:
        """The algorithm with other values of parameters, and of its rules' numbers, by names as above.

        Raises:
            InputError: a value that is not accepted.
        """
        plain = {name: value for name, value in values.items() if "." not in name}
        for name in values.keys() - plain.keys():
            key, _, number = name.partition(".")
            plain[key] = dataclasses.replace(plain.get(key, getattr(self, key)), **{number: values[name]})
        return dataclasses.replace(self, **plain)

    @property
    def settles(self) -> bool:
        """Whether it tells the oracle of its lower steps, so that what is stored along with y follows them."""
        return self.in_epochs or "lower" in self.updates

    def moves(self, oracle: Oracle, state: Mapping[str, Any], k: int) -> Moves:
        """The steps of outer iteration ``k``: plain, or by the rules, whose memory is in the state.

        ``moves.upper(x, step, direction)`` is x − step · direction without a rule, and so are ``lower`` and
        ``auxiliary``; the next state takes over ``moves.carried``.
        """
        if self.upper_update is self.lower_update is self.auxiliary_update is None:
            return Moves({}, state, k, oracle.stepped_lower)
        rules = {level: getattr(self, f"{level}_update") for level in LEVELS}
        return Moves(rules, state, k, oracle.stepped_lower)

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

    def compiled_iterations(self, oracle: Oracle, state: State) -> Iterations | None:
        """Iterations by compiled loops that go on from a state, to the numbers of :meth:`step`; None for none."""
        return None

    def remembered(
        self, points: tuple[int, int], sizes: tuple[int, int], runs: int, weighted: bool, element_size: int
    ) -> int:
        """Bytes that are kept for data points, beside some vectors of the iterates' sizes; none by default.

        Args:
            points: of the upper and of the lower level.
            sizes: d_x, d_y.
            runs: rows.
            weighted: whether x weights the lower level's points (:attr:`~unibio.core.problem.Problem.weighted`).
            element_size: bytes of a number.

        Raises:
            InputError: it is more than the algorithm may take, or these points cannot be kept so.
        """
        return 0

    def diagnose(self, oracle: Oracle, state: State) -> Diagnosis:
        """Check settings against the problem at the first state. The oracle given here counts for nobody."""
        return Diagnosis()
