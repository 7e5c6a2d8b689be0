"""The page's first figure: what η does to the published curves, and what the cap on η does to a comparison of methods.

Its sliders stop at runs that were made, so that whatever is seen is in the records: nothing lies between two of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from unibio.errors import InputError
from unibio.quantiles import quartiles
from unibio.store.records import Record
from unibio.studies import hoelder_figures
from unibio.studies.common import methods, style
from unibio.studies.common.curves import Curves, curves, values_of
from unibio.studies.common.document import Block, Interactive, PageOnly, Paragraph
from unibio.studies.common.evidence import Evidence, MissingRecordsError, exponent, paper_step
from unibio.studies.common.labels import norm_label
from unibio.studies.common.readings import BOTH
from unibio.studies.common.traced import numbers
from unibio.studies.e1.search import SMALL_CAP, caps_of, place, ranking, searches

#: Points of a curve, of which there are hundreds.
POINTS = 90
#: Smallest part of the largest median that the vertical axes show.
DEPTH = 2e-3

_ETA = (
    "What η does, to try. On Example 3, the paper's synthetic problem, the published curves have an η for each p; the "
    "slider gives every p the same, and stops at those that were run."
)
_BESIDE = " Beside it the same on the Hölder problem, on which p matters."
_READ = (
    " Lines are medians and bands quartiles over the seeds; below a chart stands each p's average over its iterations."
)
_CAP = (
    "What the cap on η does, to try: on Example 3 without noise every method has its best pair of steps among those "
    "with η up to the cap. The criterion is |∇φ| averaged over the run; methods within a tie share a rank."
)

#: From a record, η and a metric to the curves of the seeds that are shown.
Shown = Callable[[Record, float, str], Curves]


def blocks(evidence: Evidence) -> Iterable[Block]:
    """The figure's two parts, each where its records are there; the page alone has them."""
    for kind, title, data in (("steps", "η for each p", steps), ("caps", "methods by the cap on η", caps)):
        try:
            found = data(evidence)
        except (MissingRecordsError, InputError):
            continue
        packed = json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text = _ETA + _BESIDE * (len(found["problems"]) > 1) + _READ if kind == "steps" else _CAP
        yield PageOnly([Paragraph(text), Interactive(kind, title, packed, opened=True)])


# η for each p --------------------------------------------------------------------------------------------------------


def steps(evidence: Evidence) -> dict[str, Any]:
    """Every curve of Example 3 at the steps of the equal-η control, and of the Hölder problem where it was run.

    Returns:
        ``noises`` by name, and ``problems``: ``title``, axes ``x`` and ``y``, ``own`` (what the steps are called that
        each p has for itself), ``equal`` (whether all start with one), ``same`` (its place), and ``groups``, one a p:
        ``values`` of η, the place of its ``own`` among them by noise, and ``curves`` by noise and by η.

    Raises:
        MissingRecordsError: the equal-η control was not run.
    """
    found = evidence.require("fig1_equal")
    noises = BOTH.levels(evidence, "fig1_equal")
    hoelder = {}
    if evidence.records(hoelder_figures.EXPERIMENT):
        hoelder = hoelder_figures.groups(evidence, hoelder_figures.JUDGED)
        noises = [noise for noise in noises if noise in hoelder] or noises
    problems = [
        _problem(
            "Example 3, the paper's problem",
            [{exponent(record): record for record in found} for _ in noises],
            [partial(_published, noise=noise) for noise in noises],
            ("the paper's η", paper_step),
        )
    ]
    if all(noise in hoelder for noise in noises):
        problems.append(
            _problem(
                f"The Hölder problem, d = {hoelder_figures.JUDGED}",
                [hoelder[noise] for noise in noises],
                [hoelder_figures.shown for _ in noises],
                ("η tuned for each p", hoelder_figures.tuned_step),
                part=hoelder_figures.FIRST,
                equal=hoelder_figures.EQUAL_STEP,
            )
        )
    names = ["no noise" if noise == 0 else f"noise of variance {noise:g}" for noise in noises]
    return {"noises": names, "problems": problems}


def _published(record: Record, step: float, metric: str, noise: float) -> Curves:
    (one,) = curves(record, metric, noise=noise, upper_noise=BOTH.upper(noise), upper_step=step)
    return one


def _problem(
    title: str,
    records: Sequence[Mapping[int, Record]],
    shown: Sequence[Shown],
    own: tuple[str, Callable[[Record], float | None]],
    part: float = 1.0,
    equal: float | None = None,
) -> dict[str, Any]:
    """One problem, over a part of its iterations; records and what is shown of them by noise. It starts with one η for
    every p where ``equal`` names one."""
    some = next(iter(records[0].values()))
    last = int(some.config["steps"]) * part
    groups: list[dict[str, Any]] = []
    for p in sorted(records[0]):
        values = values_of([records[0][p]], "upper_step")
        drawn = [
            [_curve(read, by_p[p], step, last) for step in values] for by_p, read in zip(records, shown, strict=True)
        ]
        places = [_place(values, own[1](by_p[p])) for by_p in records]
        look = {"name": f"p = {p}", "colour": style.of_exponent(p)["color"]}
        groups.append(look | {"values": [float(f"{step:.3g}") for step in values], "own": places, "curves": drawn})
    every = [curve for group in groups for by_noise in group["curves"] for curve in by_noise]
    known = [value for curve in every for value in curve["y"] if value is not None and value > 0]
    end = max(curve["x"][-1] for curve in every)
    top = max(known, default=1.0)
    axis = {"label": norm_label(some), "log": True, "range": [max(min(known, default=0.1), DEPTH * top), 1.4 * top]}
    return {
        "title": title,
        "x": {"label": "iteration t", "log": False, "range": [0, end]},
        "y": axis,
        "own": own[0],
        "equal": equal is not None,
        "same": _place(groups[0]["values"], equal or max(groups[0]["values"])),
        "groups": groups,
    }


def _place(values: Sequence[float], wanted: float | None) -> int | None:
    """Of the value nearest to a wanted one."""
    return None if wanted is None else int(np.argmin(np.abs(np.log(np.array(values) / wanted))))


def _curve(read: Shown, record: Record, step: float, last: float) -> dict[str, Any]:
    """Median and quartiles at one η up to an iteration, and the average until then, median over the seeds."""
    one = read(record, step, "hypergradient_norm")
    inside = np.flatnonzero(one.iterations <= last)
    keep = inside[np.unique(np.linspace(0, len(inside) - 1, min(POINTS, len(inside))).astype(int))]
    low, middle, high = (numbers(band[keep]) for band in quartiles(one.values))
    means = read(record, step, "hypergradient_norm_mean").values[:, inside[-1]]
    average = numbers(np.array([quartiles(means[:, None])[1][0]]))[0]
    found = {"x": numbers(one.iterations[keep], 6), "y": middle, "average": average}
    return found if low == high else found | {"low": low, "high": high}


# The cap on η --------------------------------------------------------------------------------------------------------


def caps(evidence: Evidence) -> dict[str, Any]:
    """Criterion and rank of every method of Appendix E.1 by the cap, for every p.

    Returns:
        ``caps``, the place where the slider ``start``s, and ``groups``, one a p: ``name`` and ``methods`` with
        ``name``, ``colour``, ``criterion`` (None where every pair diverges) and ``rank`` by cap.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: a record that is not a full grid of both steps.
    """
    found = [one for one in searches(evidence, "e1") if one.dimension == 1]
    allowed = caps_of(found)
    table = ranking(found, allowed)
    groups = []
    for p, here in table.groupby("p"):
        by_method = {name: rows.sort_values("cap") for name, rows in here.groupby("method")}
        groups.append(
            {
                "name": f"p = {p}",
                "methods": [
                    {
                        "name": methods.label(name),
                        "colour": methods.look(name)["color"],
                        "criterion": numbers(by_method[name]["criterion"].to_numpy(dtype=float)),
                        "rank": [int(rank) for rank in by_method[name]["rank"]],
                    }
                    for name in sorted(by_method, key=place)
                ],
            }
        )
    return {"caps": [float(f"{cap:.3g}") for cap in allowed], "start": _place(allowed, SMALL_CAP), "groups": groups}
