"""Names of algorithms and problems. A plain table: what is configurable is what stands here.

A class is imported when it is first asked for, since that needs torch; what it declares is read without that
(:mod:`unibio.declarations`). Algorithms and problems that other packages bring (:mod:`unibio.plugins`) join the tables;
what these declare is asked of the class itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from unibio import declarations, plugins
from unibio.errors import InputError, unknown
from unibio.plugins import Plugin

if TYPE_CHECKING:
    from unibio.core.algorithm import Algorithm
    from unibio.core.parameters import Configured
    from unibio.core.problem import ProblemSpec

SpecT = TypeVar("SpecT", bound="Configured")


class Table(MutableMapping[str, type[SpecT]], Generic[SpecT]):
    """Classes by name.

    Args:
        paths: {name: dotted path of the class}.
        role: "algorithm" or "problem" where plugins of that role belong here, too; "" where none do.
        beside: names that no plugin may have, though they stand elsewhere.

    Raises:
        InputError: from every method, where two plugins have one name, or one has a name of ours.
    """

    def __init__(self, paths: Mapping[str, str], role: str = "", beside: Iterable[str] = ()):
        self._paths = dict(paths)
        self._found: dict[str, str | type[SpecT]] = dict(paths)
        self._role, self._reserved = role, {*paths, *beside}

    def __getitem__(self, name: str) -> type[SpecT]:
        plugged = self.plugged()
        if name not in self._found and name in plugged:
            return _class_of(plugged[name])
        found = self._found[name]
        if isinstance(found, str):
            module, _, of_class = found.rpartition(".")
            cls: type[SpecT] = getattr(import_module(module), of_class)
            return cls
        return found

    def __setitem__(self, name: str, cls: type[SpecT]) -> None:
        # Whoever puts the table's own class back leaves it as it was, read from its source again.
        path = f"{cls.__module__}.{cls.__qualname__}"
        self._found[name] = path if self._paths.get(name) == path else cls

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter([*self._found, *(name for name in self.plugged() if name not in self._found)])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self.plugged() or name in self._found  # without importing it

    def plugged(self) -> Mapping[str, Plugin]:
        """What plugins bring."""
        found = plugins.found(self._role) if self._role else {}
        for name in found:
            if name in self._reserved:
                raise plugins.clash(self._role, name, "unibio itself", found[name].origin)
        return found

    def declared(self, name: str) -> Any:
        """The class as far as it says what can be configured: name, docstring, parameters; see :mod:`declarations`."""
        found = self._found.get(name)
        return declarations.read(found) if isinstance(found, str) else self[name]


def _class_of(plugin: Plugin) -> Any:
    """A plugin's class.

    Raises:
        InputError: it is none, or calls itself something else: records are named by what it calls itself.
    """
    cls = plugin.load()
    if not isinstance(cls, type) or getattr(cls, "role", None) != plugin.role:
        base = {"algorithm": "unibio.Algorithm", "problem": "unibio.ProblemSpec"}[plugin.role]
        raise InputError(f"{plugin.role} {plugin.name!r} of {plugin.origin} is no subclass of {base}")
    said = getattr(cls, "name", "")
    if said != plugin.name:
        raise InputError(
            f"{plugin.role} {plugin.name!r} of {plugin.origin} calls itself {said!r}; write name: ClassVar[str] = "
            f'"{plugin.name}" in {cls.__name__}, or give the entry point its name'
        )
    return cls


#: Deviations of the released code from what is published, UniBiO without one of its parts, and methods that tell of
#: more than x and y: to be run by the studies of them, not listed as methods.
VARIANTS: Table[Algorithm] = Table(
    {
        "stocbio_headless": "unibio.algorithms.variants.HeadlessStocBiO",
        "ttsa_bare": "unibio.algorithms.variants.BareTTSA",
        "stocbio_accumulating": "unibio.algorithms.variants.AccumulatingStocBiO",
        "saba_opposite": "unibio.algorithms.variants.OppositeSABA",
        "saba_history": "unibio.algorithms.variants.HistorySABA",
        "sustain_lagging": "unibio.algorithms.variants.LaggingSUSTAIN",
        "sustain_two_lengths": "unibio.algorithms.variants.TwoLengthsSUSTAIN",
        "vrbo_stale": "unibio.algorithms.variants.StaleVRBO",
        "unibio_transposed": "unibio.algorithms.variants.TransposedUniBiO",
        "unibio_unaveraged": "unibio.algorithms.ablated.UnaveragedUniBiO",
        "unibio_cold": "unibio.algorithms.ablated.ColdUniBiO",
        "unibio_unwarmed": "unibio.algorithms.ablated.UnwarmedUniBiO",
        "f2sa_followed": "unibio.algorithms.followed.FollowedF2SA",
        "proximal_followed": "unibio.algorithms.followed.FollowedProximal",
        "proximal_momentum_followed": "unibio.algorithms.followed.FollowedProximalMomentum",
    }
)
ALGORITHMS: Table[Algorithm] = Table(
    {
        "unibio": "unibio.algorithms.unibio.UniBiO",
        "unibio_plain": "unibio.algorithms.unibio.PlainUniBiO",
        "unibio_adaptive": "unibio.algorithms.unibio_adaptive.AdaptiveUniBiO",
        "unibio_windows": "unibio.algorithms.unibio_windows.WindowedUniBiO",
        "unibio_released": "unibio.algorithms.released.ReleasedUniBiO",
        "stocbio": "unibio.algorithms.stocbio.StocBiO",
        "bsa": "unibio.algorithms.stocbio.BSA",
        "ttsa": "unibio.algorithms.ttsa.TTSA",
        "soba": "unibio.algorithms.soba.SOBA",
        "ma_soba": "unibio.algorithms.ma_soba.MASOBA",
        "saba": "unibio.algorithms.saba.SABA",
        "amigo": "unibio.algorithms.amigo.AmIGO",
        "sustain": "unibio.algorithms.sustain.SUSTAIN",
        "mrbo": "unibio.algorithms.mrbo.MRBO",
        "vrbo": "unibio.algorithms.vrbo.VRBO",
        "bo_rep": "unibio.algorithms.bo_rep.BOREP",
        "f2sa": "unibio.algorithms.f2sa.F2SA",
        "f3sa": "unibio.algorithms.f3sa.F3SA",
        "f2ba": "unibio.algorithms.f2ba.F2BA",
        "proximal": "unibio.algorithms.proximal.Proximal",
        "proximal_momentum": "unibio.algorithms.proximal.ProximalMomentum",
        "bome": "unibio.algorithms.bome.BOME",
        "pbgd": "unibio.algorithms.pbgd.PBGD",
        "lower_only": "unibio.algorithms.lower_only.LowerOnly",
        "epoch_sgd": "unibio.algorithms.epochs.EpochSGD",
        "linear_system": "unibio.algorithms.linear_system.LinearSystem",
    },
    role="algorithm",
    beside=VARIANTS,
)
PROBLEMS: Table[ProblemSpec] = Table(
    {
        "example3": "unibio.problems.example3.Example3",
        "coordinatewise": "unibio.problems.example3.Coordinatewise",
        "hoelder": "unibio.problems.hoelder.Hoelder",
        "tracked_hoelder": "unibio.problems.tracked.TrackedHoelder",
        "regularity": "unibio.problems.regularity.Regularity",
        "quadratic": "unibio.problems.quadratic.Quadratic",
        "noisy_quadratic": "unibio.problems.noisy_quadratic.NoisyQuadratic",
        "penalised_quadratic": "unibio.problems.penalised_quadratic.PenalisedQuadratic",
        "lp_regression": "unibio.problems.lp_regression.LpRegression",
        "nli_cleaning": "unibio.problems.nli.cleaning.NLICleaning",
        "corrupted_labels": "unibio.problems.corrupted_labels.CorruptedLabels",
        "representation": "unibio.problems.linear_models.RepresentationLearning",
        "linear_cleaning": "unibio.problems.linear_models.LinearCleaning",
        "double_well": "unibio.problems.double_well.DoubleWell",
        "nasty": "unibio.problems.nasty.Nasty",
        "lower_bound": "unibio.problems.lower_bound.LowerBound",
        "pl_nonconvex": "unibio.problems.pl_nonconvex.PLNonconvex",
        "strictly_convex": "unibio.problems.strictly_convex.StrictlyConvex",
        "followed_pl_nonconvex": "unibio.problems.followed.FollowedPLNonconvex",
        "followed_wells": "unibio.problems.followed.FollowedWells",
        "known_target": "unibio.problems.known_target.KnownTarget",
        "polytope": "unibio.problems.polytope.PolytopeConstrained",
        "shallow_network": "unibio.problems.shallow_network.ShallowNetwork",
        "weighted_cleaning": "unibio.problems.weighted_cleaning.WeightedCleaning",
        "representation_conditions": "unibio.problems.conditions.RepresentationConditions",
        "linear_cleaning_conditions": "unibio.problems.conditions.LinearCleaningConditions",
        "weighted_cleaning_conditions": "unibio.problems.conditions.WeightedCleaningConditions",
        "double_well_conditions": "unibio.problems.conditions.DoubleWellConditions",
        "kernel_ridge": "unibio.problems.kernel_ridge.KernelRidge",
        "power_attack": "unibio.problems.power_attack.PowerAttack",
    },
    role="problem",
)


def algorithm_class(name: str) -> type[Algorithm]:
    """The algorithm or variant of a name. Raises InputError with the known names."""
    return _algorithms(name)[name]


def problem_class(name: str) -> type[ProblemSpec]:
    """The problem of a name. Raises InputError with the known names."""
    return _problems(name)[name]


def declared(role: str, name: str) -> Any:
    """What the algorithm, variant or problem of a name declares. Raises InputError with the known names.

    Args:
        role: "algorithm" or "problem".
        name: which.
    """
    return (_problems(name) if role == "problem" else _algorithms(name)).declared(name)


def _algorithms(name: str) -> Table[Algorithm]:
    if name not in ALGORITHMS and name not in VARIANTS:
        raise unknown("algorithm", name, ALGORITHMS)
    return VARIANTS if name in VARIANTS else ALGORITHMS


def _problems(name: str) -> Table[ProblemSpec]:
    if name not in PROBLEMS:
        raise unknown("problem", name, PROBLEMS)
    return PROBLEMS
