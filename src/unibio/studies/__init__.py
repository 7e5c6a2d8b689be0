"""Every study: its numbers, rules, claims, figures and section of the report stand together, one file or folder each.

:data:`OURS` is the ordered list of them, by the names of their modules; a study that stands here is drawn, judged and
reported. Those that plugins bring (:mod:`unibio.plugins`) follow in :data:`PARTS`, which is looked up when somebody
first asks for it: a plugin's study imports :mod:`unibio.studies.common`, and must not be looked for while it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unibio import plugins
from unibio.errors import InputError
from unibio.studies.common.claim import Claim
from unibio.studies.common.drawing import Drawing
from unibio.studies.common.study import Part, Study

#: {name of its module: study} of ours, in the order of :data:`OURS`.
BY_NAME: dict[str, Study] = {}


def _studies(*names: str) -> tuple[Study, ...]:
    """``STUDY`` of each of these modules of this package."""
    found = {name: import_module(f"{__name__}.{name}").STUDY for name in names}
    BY_NAME.update(found)
    return tuple(found.values())


OURS: tuple[Part, ...] = (
    Part(
        "The synthetic study",
        _studies(
            "fig1",
            "sensitivity",
            "lr_search",
            "fig5",
            "runtime",
        ),
    ),
    Part(
        "Where p matters: the theory measured",
        _studies(
            "algorithm1",
            "regularity",
            "tracking",
            "schedules",
            "inner_iterations",
            "ablation",
            "hoelder_figures",
            "rates_strongly_convex",
            "tuned_complexity",
        ),
    ),
    Part(
        "Without p",
        _studies(
            "estimators",
            "unknown_exponent",
        ),
    ),
    Part(
        "Appendix E.1: every method at tuned steps",
        _studies(
            "e1",
            "discrepancies",
        ),
    ),
    Part(
        "ℓ_p-regression hyper-cleaning",
        _studies(
            "lp_regression",
        ),
    ),
    Part(
        "Hyper-cleaning of sentence pairs with a recurrent network",
        _studies(
            "nli",
        ),
    ),
    Part(
        "The first-order family",
        _studies(
            "penalty_accuracy",
            "nasty",
            "landscape",
            "nondegeneracy",
            "penalty_rates",
            "stationarity",
            "lyapunov",
            "lower_bound",
            "lower_bound_calls",
            "corrupted_labels",
            "first_order",
            "global_optimality",
            "pl_conditions",
            "weighted_cleaning",
            "motivating",
        ),
    ),
)

if TYPE_CHECKING:  # looked up by __getattr__
    #: What plugins bring, which is drawn, judged and reported, and not published.
    PLUGGED: tuple[Part, ...]
    #: Ours, then those.
    PARTS: tuple[Part, ...]
    STUDIES: tuple[Study, ...]
    CLAIMS: tuple[Claim, ...]
    DRAWINGS: dict[str, Drawing]


@cache
def _all() -> dict[str, Any]:
    plugged = tuple(_plugged())
    parts = OURS + plugged
    studies = tuple(study for part in parts for study in part.studies)
    return {
        "PLUGGED": plugged,
        "PARTS": parts,
        "STUDIES": studies,
        "CLAIMS": tuple(claim for study in studies for claim in study.claims),
        "DRAWINGS": {drawing.name: drawing for study in studies for drawing in study.drawings},
    }


def __getattr__(name: str) -> Any:
    if name not in ("PLUGGED", "PARTS", "STUDIES", "CLAIMS", "DRAWINGS"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _all()[name]


def _plugged() -> Iterator[Part]:
    """A part for every study that a plugin brings.

    Raises:
        InputError: its ``STUDY`` is none, or something of it has the name of another's.
    """
    ours = [study for part in OURS for study in part.studies]
    taken = {
        "experiment": dict.fromkeys(BY_NAME, "unibio itself"),
        "figure": {one.name: "unibio itself" for study in ours for one in study.drawings},
        "claim": {one.id: "unibio itself" for study in ours for one in study.claims},
    }
    for plugin, study in plugins.studies():
        if not isinstance(study, Study):
            raise InputError(f"STUDY of {plugin.module} ({plugin.origin}) is no unibio.studies.common.study.Study")
        names = [("experiment", plugin.name), *(("figure", one.name) for one in study.drawings)]
        for kind, name in (*names, *(("claim", one.id) for one in study.claims)):
            if name in taken[kind]:
                raise plugins.clash(kind, name, taken[kind][name], plugin.origin)
            taken[kind][name] = plugin.origin
        yield Part(f"Plugged in: {plugin.name}", (study,))


def folders() -> list[Path]:
    """Where the source of plugged-in studies lies."""
    files = [plugins.file_of(plugin.module) for plugin, _ in plugins.studies()]
    return [file.parent for file in files if file is not None]


def study_of(experiment: str) -> Study | None:
    """The study that reads an experiment's records; None where none does."""
    return next((study for study in _all()["STUDIES"] if experiment in study.experiments), None)
