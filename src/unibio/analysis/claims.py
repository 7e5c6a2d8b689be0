"""The rules that judge claims from records. All verdicts come from here; what is claimed stands in ``statements``.

A rule takes a study and returns an outcome; it reads records and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from unibio.analysis.comparisons import costs, finals, first_hits
from unibio.analysis.curves import curves, final, values_of
from unibio.analysis.lr_search import TIE, search
from unibio.analysis.rates import (
    bound_exponent,
    fit_power_law,
    fit_sweep,
    slopes_by_range,
    slopes_by_start,
    slopes_by_window,
    standard_ranges,
)
from unibio.analysis.study import Study, dimension, exponent, paper_step, scale
from unibio.errors import InputError

REPRODUCED = "reproduced"
CONFOUNDED = "reproduced only with the confound"
NOT_REPRODUCED = "not reproduced"
NOT_RUN = "not yet run"
CONSISTENT = "consistent"
VIOLATED = "violated"
NOT_TESTABLE = "not testable here"
VERDICTS = (REPRODUCED, CONFOUNDED, NOT_REPRODUCED, CONSISTENT, VIOLATED, NOT_TESTABLE, NOT_RUN)

#: The exponents of the paper's figures; a verdict needs all of them.
EXPONENTS = (2, 4, 6, 8)
#: A coordinate's gradient counts as small below this: a tenth of its largest value, max |cos u · cos(sin u)| = 1.
SMALL_GRADIENT = 0.1
#: Fraction of the seeds that must converge: leaves room for a rare bad seed, not for a second kind of behaviour.
MOST_SEEDS = 0.95
#: The last part of a run that must be small; one small iterate could be a passing minimum of a circling trajectory.
TAIL = 0.2
#: Two medians within this fraction are the same: about two iterations at the fastest first hit, 48.
SAME = 0.05
#: Two pictures agree when first hits and final averages do within this: less than the eye tells apart on a log axis.
SAME_PICTURE = 0.10
#: Noise does no harm when it costs at most this fraction of the noise-free average.
ROBUST = 0.10
#: Horizons a sweep needs for a slope to mean something: this many, over at least this factor.
LEAST_HORIZONS, LEAST_SPAN = 4, 10.0


@dataclass(frozen=True)
class Outcome:
    """A verdict, the numbers behind it and what they say in words."""

    verdict: str
    explanation: str
    numbers: dict[str, Any] = field(default_factory=dict)


def converges(experiment: str, noise: float) -> Callable[[Study], Outcome]:
    """|∇φ| stays below ``SMALL_GRADIENT`` per coordinate over the last part of the run, for most seeds and every p."""

    def rule(study: Study) -> Outcome:
        fractions, tails = {}, {}
        for record in study.require(experiment):
            level = SMALL_GRADIENT * math.sqrt(dimension(record))
            for curve in curves(record, noise=noise):
                late = curve.iterations >= (1 - TAIL) * curve.iterations[-1]
                tail = np.median(curve.values[:, late], axis=1)
                fractions[curve.exponent], tails[curve.exponent] = float(np.mean(tail < level)), float(np.median(tail))
        if missing := [p for p in EXPONENTS if p not in fractions]:
            return Outcome(NOT_RUN, f"no runs of {experiment} at noise {noise:g} for p = {_listed(missing)}")
        ok = all(fraction >= MOST_SEEDS for fraction in fractions.values())
        text = "; ".join(f"p = {p}: {tails[p]:.3g}, {fractions[p]:.0%} of the seeds below" for p in fractions)
        return Outcome(
            REPRODUCED if ok else NOT_REPRODUCED,
            f"median |∇φ| over the last {TAIL:.0%} of the iterations, against {level:.3g}: {text}",
            {"level": level, "tail_median": tails, "fraction_converged": fractions},
        )

    return rule


def slower(published: str, equal: str, cost: str) -> Callable[[Study], Outcome]:
    """Larger p needs more ``cost`` to a small gradient at the paper's steps; and at equal steps?"""

    def rule(study: Study) -> Outcome:
        unit = cost.replace("_", " ")
        own, control = first_hits(study.require(published)), first_hits(study.require(equal))
        if own.empty or control.empty:
            return Outcome(NOT_RUN, f"no first hits in the records of {published} or {equal}; run with targets")
        own = own.pivot(index="noise", columns="p", values=cost)
        control = control.pivot(index=["noise", "upper_step"], columns="p", values=cost)
        target = str(first_hits(study.require(published))["target"].iloc[0])
        goal = target.replace("hypergradient_norm<", "|∇φ| < ")
        numbers: dict[str, Any] = {"target": target}
        numbers["paper_steps"] = {f"noise {v:g}": _by_p(row) for v, row in own.iterrows()}
        numbers["equal_steps"] = {f"noise {v:g}, step {s:g}": _by_p(row) for (v, s), row in control.iterrows()}
        if not np.isfinite(own.to_numpy()).any():
            too_short = scale(study.require(published)) != "paper"
            text = f"no p reaches {goal} within T = {study.require(published)[0].config['steps']}"
            return Outcome(NOT_RUN if too_short else NOT_REPRODUCED, text, numbers)
        numbers["equal_cells_where_slower"] = sum(_rises(row) for _, row in control.iterrows())
        numbers["equal_cells"] = len(control)
        ratio = (control[max(EXPONENTS)] / control[min(EXPONENTS)]).replace([np.inf], np.nan)
        first = ", ".join(f"{v:.0f}" if np.isfinite(v) else "never" for v in own.iloc[0])
        slower_in = numbers["equal_cells_where_slower"]
        text = (
            f"{unit} to {goal} at the paper's steps, noise {own.index[0]:g}: {first} for p = {_listed(own.columns)}; "
            f"at equal steps larger p is slower in {slower_in} of {len(control)} cells, and p = {max(EXPONENTS)} needs "
            f"{_span(ratio.min(), ratio.max(), '.2f')} times the {unit} of p = {min(EXPONENTS)}"
        )
        if not all(_rises(row) for _, row in own.iterrows()):
            return Outcome(NOT_REPRODUCED, text, numbers)
        everywhere = numbers["equal_cells_where_slower"] == len(control)
        return Outcome(REPRODUCED if everywhere else CONFOUNDED, text, numbers)

    return rule


def same_picture(study: Study) -> Outcome:
    """First hits and final averages of Algorithm 2 and of the released script agree in every panel."""
    metric = "hypergradient_norm"
    hits = [first_hits(study.require(name)).set_index(["p", "noise"])["iterations"] for name in RELEASED_PAIR]
    ends = [finals(study.require(name), f"{metric}_mean").set_index(["p", "noise"])["median"] for name in RELEASED_PAIR]
    numbers = {}
    for what, (own, released) in (("first_hit", hits), ("average", ends)):
        both = pd.concat([own, released], axis=1, keys=["own", "released"], join="inner")
        both = both[np.isfinite(both).all(axis=1)]  # where neither gets there, there is nothing to compare
        numbers[f"{what}_largest_difference"] = float((both["released"] / both["own"] - 1).abs().max())
    one_sided = int((np.isfinite(hits[0]) != np.isfinite(hits[1].reindex(hits[0].index))).sum())
    difference = np.nanmax([0.0, *numbers.values()])
    said = {key: "none to compare" if math.isnan(v) else f"{v:.1%}" for key, v in numbers.items()}
    text = (
        "largest relative difference of the medians over p and noise: first hits "
        f"{said['first_hit_largest_difference']}, final averages {said['average_largest_difference']}"
    )
    ok = difference <= SAME_PICTURE and one_sided == 0
    return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, numbers | {"panels_only_one_reaches": one_sided})


RELEASED_PAIR = ("fig1", "fig1_released")


def rate(p: int) -> Callable[[Study], Outcome]:
    """Whether the averaged norm at the paper's η falls at least as fast as the bound, whatever the fit range.

    Ranges: [t, T] and [t, 10 t] for all t that leave room. If some of them say yes and some no, it is the choice of the
    range that decides, and nothing was tested.
    """

    def rule(study: Study) -> Outcome:
        bound, found, whole = bound_exponent(p), [], {}
        for record in study.require("fig5"):
            if exponent(record) != p:
                continue
            for curve in curves(record, "hypergradient_norm_mean", upper_step=paper_step(record) or math.nan):
                if not np.isfinite(curve.values).all():
                    return Outcome(NOT_TESTABLE, "runs diverged; a power law of the rest would be of survivors", {})
                found.append(slopes_by_start(curve.iterations, curve.values).assign(kind="to_end"))
                found.append(slopes_by_window(curve.iterations, curve.values).assign(kind="decade"))
                if len(found[-1]):
                    last = fit_power_law(curve.iterations, curve.values, curve.iterations[-1] / 10)
                    whole[f"noise {curve.cell['noise']:g}"] = [last.slope, *last.interval]
        fits = pd.concat(found) if found else pd.DataFrame()
        if fits.empty:
            return Outcome(NOT_RUN, f"fig5 holds no curve at the paper's step for p = {p}, or one too short for a fit")
        ends = fits.groupby("kind")["slope"].agg(["min", "max"])
        numbers = {"bound": bound, "last_decade": whole, "slopes": {str(k): list(r) for k, r in ends.iterrows()}}
        names = {"to_end": "[t, T]", "decade": "[t, 10 t]"}
        spans = [
            f"{names[k]} {_span(r['min'], r['max'], '.2f')}" for k, r in ends.sort_index(ascending=False).iterrows()
        ]
        text = f"slopes over the fit ranges {' and '.join(spans)} as t varies, bound {bound:.3f}"
        if (fits["interval_high"] <= bound).all():
            return Outcome(CONSISTENT, text, numbers)
        if (fits["interval_low"] > bound).all():
            return Outcome(VIOLATED, text, numbers)
        text += "; the fit range decides, and η is fixed where the theorem lets it shrink with T"
        return Outcome(NOT_TESTABLE, text, numbers)

    return rule


def theorem(study: Study) -> Outcome:
    """The final averaged norm against T under Theorem 5.1's schedule at p = 2: slope −1/4 or steeper."""
    found = [record for record in study.require("theorem_schedule") if exponent(record) == 2]
    horizons = [float(record.config["steps"]) for record in found]
    if len(horizons) < LEAST_HORIZONS or max(horizons) < LEAST_SPAN * min(horizons):
        return Outcome(NOT_TESTABLE, f"{len(horizons)} horizons do not span a decade: T = {_listed(horizons)}")
    ends = [final(record, "hypergradient_norm_mean") for record in found]
    try:
        fit, late = fit_sweep(horizons, ends), fit_sweep(horizons[len(horizons) // 2 - 1 :], ends[len(ends) // 2 - 1 :])
    except InputError as error:
        return Outcome(NOT_TESTABLE, str(error))
    bound = bound_exponent(2)
    allowed = abs(bound) * SAME  # the bound hides logarithms of T, worth a few hundredths of a slope here
    numbers = {
        "slope": fit.slope,
        "error": fit.error,
        "interval": fit.interval,
        "bound": bound,
        "later_half": late.slope,
    }
    text = (
        f"slope {fit.slope:.3f} (95% interval {fit.interval[0]:.4f} to {fit.interval[1]:.4f}, standard error "
        f"{fit.error:.4f}) over T = {min(horizons):.0f} … {max(horizons):.0f}, {late.slope:.3f} over the later half; "
        f"bound {bound:.2f}"
    )
    slopes = (fit.interval[0], late.interval[0]), (fit.interval[1], late.interval[1])
    if max(slopes[0]) <= bound + allowed:
        return Outcome(CONSISTENT, text, numbers)
    return Outcome(VIOLATED if min(slopes[0]) > bound + allowed else NOT_TESTABLE, text, numbers)


def flatter(study: Study) -> Outcome:
    """Whether a larger p gives a flatter power law, at the paper's η and at equal η, for several fit ranges."""
    slopes: dict[tuple[Any, ...], dict[int, float]] = {}
    for record in study.require("fig5"):
        for curve in curves(record, "hypergradient_norm_mean"):
            last = float(curve.iterations[-1])
            step = curve.cell["upper_step"]
            own = "paper" if np.isclose(step, paper_step(record) or math.nan) else None
            ranges = standard_ranges(last) if np.isfinite(curve.values).all() else []
            for fit in slopes_by_range(curve.iterations, curve.values, ranges).itertuples():
                low, high, slope = float(fit.low), float(fit.high), float(fit.slope)
                for key in (f"step {step:g}", own):
                    if key:
                        slopes.setdefault((key, curve.cell["noise"], low, high), {})[curve.exponent] = slope
    complete = {key: [by_p[p] for p in EXPONENTS] for key, by_p in slopes.items() if set(EXPONENTS) <= set(by_p)}
    flat = {key: bool(np.all(np.diff(found) > SAME * abs(found[0]))) for key, found in complete.items()}
    at_paper = [v for key, v in flat.items() if key[0] == "paper"]
    control = [v for key, v in flat.items() if key[0] != "paper"]
    if not at_paper or not control:
        return Outcome(NOT_RUN, "fig5 holds no curves of every p long enough for a fit")
    shown = {f"{k[0]}, noise {k[1]:g}, t in [{k[2]:g}, {k[3]:g}]": v for k, v in complete.items()}
    text = (
        f"larger p gives a flatter fit in {sum(at_paper)} of {len(at_paper)} fits at the paper's steps (the fit range "
        f"decides) and in {sum(control)} of {len(control)} at equal steps"
    )
    numbers = {"slopes_by_p": shown, "flatter_paper": sum(at_paper), "flatter_equal": sum(control)}
    if not any(at_paper):
        return Outcome(NOT_REPRODUCED, text, numbers)
    return Outcome(REPRODUCED if all(at_paper) and all(control) else CONFOUNDED, text, numbers)


def paper_steps_tied(study: Study) -> Outcome:
    """Whether the paper's learning rates are within 5% of the best in the search."""
    rows = pd.DataFrame([search(record).row() for record in study.require("lr_search")]).set_index("p")
    if "paper_tied" not in rows or rows["paper_over_best"].isna().any():
        return Outcome(NOT_RUN, "the searched grid holds no point near the paper's steps; widen it")
    edges = [f"p = {p}, {axis}" for axis in ("upper_step", "lower_step") for p in rows.index if "edge" in rows[axis][p]]
    ratio = rows["paper_over_best"].astype(float).to_dict()
    text = "criterion at the paper's steps over the best: " + ", ".join(f"{v:.2f} (p = {p})" for p, v in ratio.items())
    for level in ("upper", "lower"):
        text += f"; best {level} steps {', '.join(f'{v:.3g}' for v in rows[f'best_{level}_step'])}"
    if edges:
        text += f"; the tied region touches an edge ({'; '.join(edges)}): the best may lie outside, widen the range"
    ok = bool(rows["paper_tied"].all())
    numbers = {"paper_over_best": ratio, "best_upper_step": rows["best_upper_step"].to_dict(), "edges": edges}
    return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, numbers)


def lower_step_irrelevant(study: Study) -> Outcome:
    """Whether the criterion changes by less than 5% along the lower step, at the paper's upper step, for every p."""
    at_paper, anywhere = {}, {}
    for record in study.require("lr_search"):
        found = search(record)
        spread = found.criterion.max(axis=1) / found.criterion.min(axis=1) - 1
        cell = found.paper_cell()
        if cell is None:
            return Outcome(NOT_RUN, f"the searched grid of p = {found.exponent} holds no point near the paper's steps")
        at_paper[found.exponent] = float(spread[cell[0]])
        anywhere[found.exponent] = [float(found.upper[int(spread.argmax())]), float(spread.max())]
    steps = found.lower
    worst = max(anywhere.values(), key=lambda pair: pair[1])
    text = (
        f"lower steps {steps[0]:g} … {steps[-1]:g} change the criterion by at most "
        + ", ".join(f"{v:.1%} (p = {p})" for p, v in at_paper.items())
        + f" at the paper's upper steps; over the whole grid by at most {worst[1]:.0%}, at upper step {worst[0]:.3g}"
    )
    ok = max(at_paper.values()) <= TIE
    return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, {"at_paper_step": at_paper, "largest": anywhere})


def inner_iterations(study: Study) -> Outcome:
    """Whether the recorded lower gradients per Epoch-SGD call are those of the schedule; with the running times."""
    table = costs(study.require("runtime")).set_index("p")
    same = np.isclose(table["inner_iterations"], table["inner_expected"])
    seconds = table["seconds"]
    numbers = {key: table[key].to_dict() for key in ("inner_iterations", "inner_expected", "seconds")}
    text = (
        f"inner iterations {', '.join(f'{v:.4g}' for v in table['inner_iterations'])} for p = {_listed(table.index)} "
        f"(expected {', '.join(f'{v:g}' for v in table['inner_expected'])}); running time of one run, median of "
        f"{table['repeats'].iloc[0]}: {', '.join(f'{v:.3g} s' for v in seconds)}, largest over smallest "
        f"{seconds.max() / seconds.min():.2f}"
    )
    return Outcome(REPRODUCED if bool(same.all()) else NOT_REPRODUCED, text, numbers)


def robust(study: Study) -> Outcome:
    """Coordinate-wise: noise neither prevents convergence nor raises the final average by more than ``ROBUST``."""
    found = study.require("fig1_coordinatewise")
    ends = finals(found, "hypergradient_norm_mean").pivot(index="p", columns="noise", values="median")
    if 0.0 not in ends or len(ends.columns) < 2:
        return Outcome(NOT_RUN, "fig1_coordinatewise needs noise 0 and at least one other level")
    ratio = ends.div(ends[0.0], axis=0)
    judged = {v: converges("fig1_coordinatewise", v)(study).verdict for v in values_of(found, "noise")}
    numbers = {"average_over_noise_free": {f"noise {v:g}": _by_p(ratio[v]) for v in ratio}, "converges": judged}
    ok = bool((ratio <= 1 + ROBUST).all(axis=None)) and set(judged.values()) == {REPRODUCED}
    text = (
        f"final averaged norm over that without noise: at most {ratio.max(axis=None):.3f}, over all p and noise "
        f"variances up to {max(ends.columns):g}; converges at "
        f"{sum(v == REPRODUCED for v in judged.values())} of {len(judged)} noise levels"
    )
    return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, numbers)


def budget_matters(study: Study) -> Outcome:
    """Coordinate-wise: whether K and the Neumann step change the final averaged norm by more than 5%."""
    ends = finals(study.require("coordinatewise_sensitivity"), "hypergradient_norm_mean")
    if "estimator" in ends:
        ends = ends[ends["estimator"] == "generalised"]
    spread = ends.groupby(["noise", "p"])["median"].agg(lambda v: v.max() / v.min() - 1).unstack()
    numbers = {"spread": {f"noise {v:g}": _by_p(row) for v, row in spread.iterrows()}}
    text = (
        f"over K = {_listed(sorted(ends['inner_budget'].unique()))} and Neumann steps "
        f"{_listed(sorted(ends['neumann_step'].unique()))} the final averaged norm varies by "
        f"{_span(spread.min(axis=None), spread.max(axis=None), '.1%')}"
    )
    return Outcome(REPRODUCED if spread.max(axis=None) > SAME else NOT_REPRODUCED, text, numbers)


def estimator_matters(study: Study) -> Outcome:
    """Coordinate-wise: the classical Neumann sum against the generalised one, each at the better of its steps c.

    Judged by the median over noise levels and K of the ratio of final averaged norms, for every p > 2; p = 2, where the
    two are one formula, is the control and must show no difference.
    """
    ends = finals(study.require("coordinatewise_sensitivity"), "hypergradient_norm_mean")
    if "estimator" not in ends or not {"generalised", "classical"} <= set(ends["estimator"]):
        return Outcome(NOT_RUN, "coordinatewise_sensitivity needs records of both estimators")
    best = ends.groupby(["p", "noise", "inner_budget", "estimator"])["median"].min().unstack()
    ratio = best["classical"] / best["generalised"]
    by_p = ratio.groupby("p").agg(["median", "min", "max"])
    spans = [f"{r['median']:.3f} ({_span(r['min'], r['max'], '.3f')}) at p = {p}" for p, r in by_p.iterrows()]
    text = "final averaged norm with the classical over that with the generalised estimator, median (range) over noise "
    text += f"and K: {', '.join(spans)}"
    numbers = {"ratio": {str(p): r.to_dict() for p, r in by_p.iterrows()}}
    control = bool(abs(by_p["median"].get(2, 1.0) - 1) <= SAME)
    worse = bool((by_p["median"][by_p.index > 2] > 1 + SAME).all())
    return Outcome(REPRODUCED if control and worse else NOT_REPRODUCED, text, numbers)


def _rises(row: pd.Series) -> bool:
    """Whether values rise strictly with p, and from first to last by more than a tie."""
    values = row.sort_index().to_numpy(dtype=float)
    if not np.isfinite(values[:-1]).all() or not {*EXPONENTS} <= set(row.index):
        return False  # more than one p that never gets there cannot be ordered
    return bool(np.all(np.diff(values) > 0) and values[-1] > (1 + SAME) * values[0])


def _span(low: float, high: float, form: str) -> str:
    """One number to the other, or one of them where they print alike."""
    low_text, high_text = format(low, form), format(high, form)
    return low_text if low_text == high_text else f"{low_text} to {high_text}"


def _by_p(row: pd.Series) -> dict[int, float | None]:
    """{p: value}; None where a value is infinite, which JSON cannot hold."""
    return {int(p): float(v) if np.isfinite(v) else None for p, v in row.items()}


def _listed(values: Any) -> str:
    return ", ".join(f"{v:g}" for v in values)
