"""What the methods of Appendix E.1 were given, and what to keep in mind about their comparison, from the records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from unibio.studies.common import methods
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.search import TIE
from unibio.studies.common.words import span
from unibio.studies.e1 import crossing
from unibio.studies.e1.calls import ranks
from unibio.studies.e1.search import METRIC, NOISY, SMALL_CAP, MethodSearch, caps_of, ranking, searches

#: Settings with a column of their own; all others that are set stand in the last one.
_COLUMNS = {
    "neumann_terms": "Q",
    "neumann_step": "c",
    "auxiliary_step": "z-step",
    "lower_iterations": "lower steps",
    "inner_budget": "K",
    "period": "I",
    "momentum": "momentum",
}
_SEARCHED = ("name", "upper_step", "lower_step")
#: Methods whose published steps or momenta decay.
_DECAYING = ("ttsa", "soba", "sustain", "mrbo")


def settings(found: Sequence[MethodSearch]) -> pd.DataFrame:
    """One row per method: what its records say it was given, beside the steps; by p where that makes a difference."""
    rows = []
    for name in dict.fromkeys(one.method for one in found):
        mine = [one for one in found if one.method == name]
        keys = [key for key in mine[0].record.config["algorithm"] if key not in _SEARCHED]
        given = {key: said for key in keys if (said := _by_p(mine, key))}
        row: dict[str, Any] = {"method": methods.label(name)}
        row |= {shown: given.pop(key, None) for key, shown in _COLUMNS.items()}
        if all(said == "0" for key, said in given.items() if key.endswith("_decay")):
            given = {key: said for key, said in given.items() if "decay" not in key}
        rows.append(row | {"further": ", ".join(f"{key.replace('_', ' ')} {said}" for key, said in given.items())})
    return pd.DataFrame(rows)


def searched(found: Sequence[MethodSearch]) -> str:
    """Which steps were searched, and with how many seeds."""
    grids = {(len(one.upper), *one.upper[[0, -1]], len(one.lower), *one.lower[[0, -1]]) for one in found}
    said = "; ".join(
        f"{a} upper steps {b:g} to {c:g} and {d} lower steps {e:g} to {f:g}" for a, b, c, d, e, f in sorted(grids)
    )
    seeds: dict[str, set[str]] = {}
    for one in found:
        count, half = one.record.runs["seed"].nunique(), one.search.choosing_seeds
        judge = f"{half} to choose the pair and {count - half} to judge it"
        same = "chooses the pair and judges it" if count == 1 else "choose the pair and judge it"
        text = judge if half < count else f"{count}, which {same}"
        seeds.setdefault(text, set()).add(methods.label(one.method))
    by_method = "; ".join(
        text if len(seeds) == 1 else f"{text} ({', '.join(sorted(names))})" for text, names in seeds.items()
    )
    return f"Searched: {said}. Seeds: {by_method}."


def _by_p(found: Sequence[MethodSearch], key: str) -> str:
    """A setting's values by p, one where they are all the same; "" where it is not set."""
    values = {one.exponent: one.record.config["algorithm"].get(key) for one in found}
    said = {p: f"{v:.3g}" if isinstance(v, float) else str(v) for p, v in values.items() if v is not None}
    if len(set(said.values())) < 2:
        return next(iter(said.values()), "")
    return ", ".join(f"{text} (p = {p})" for p, text in said.items())


def caveats(evidence: Evidence, experiments: Iterable[str]) -> list[str]:
    """What a reader has to keep in mind; of several experiments, those that have records."""
    found = {name: searches(evidence, name) for name in experiments}
    everything = [one for compared in found.values() for one in compared]
    said = [*_lead(found), *_lengths(found), *_calls(evidence, found), *_given(everything), *_seeds(found)]
    least = min(one.search.choosing_seeds for one in everything)
    most = max(one.search.choosing_seeds for one in everything)
    said.append(
        "A range that ends too early is one at whose end the criterion is better than anywhere inside for every "
        f"choosing seed; for two cells that are alike that happens with probability 2^−n, n = {least}"
        + (f" to {most}" if most > least else "")
        + " seeds. With one seed, that of a run without noise, the end has to be the best of all; ties within "
        f"{TIE:.0%} with a better inside are the jitter between neighbouring steps."
    )
    sums = sorted({q for one in everything if (q := crossing.terms(one)) is not None})
    if sums:
        said.append(
            f"Being held up at x = 0 is a matter of the Neumann sum's length, Q = {', '.join(map(str, sums))} here, "
            "and of its step: a longer sum comes nearer to the inverse of a small Hessian. Who is held up hangs "
            f"on the threshold, a pace below {crossing.SLOW:g} times that before."
        )
    return said


def _lead(found: dict[str, list[MethodSearch]]) -> list[str]:
    leads, tied = 0, 0
    for compared in found.values():
        table = ranking(compared, caps_of(compared)).set_index(["d", "p", "cap", "method"])["first"].unstack()
        if {"unibio", "bo_rep"} <= set(table):
            here = table[table["unibio"].astype(bool)]
            leads, tied = leads + len(here), tied + int(here["bo_rep"].astype(bool).sum())
    if not leads:
        return []
    return [
        f"UniBiO is first or tied at {leads} of all pairs of a problem and a cap on the upper step, over "
        f"{len(found)} experiments; at {tied} of these BO-REP is, too, which is normalised alike but uses the "
        "classical Hessian. As far as the two are tied, normalisation leads, not the generalised estimator."
    ]


def _lengths(found: dict[str, list[MethodSearch]]) -> list[str]:
    logged = [
        float(np.nanmax(norm[np.isfinite(norm)]))
        for one in found.get("e1", [])
        if np.isfinite(norm := one.record.history[METRIC].to_numpy(dtype=float)).any()
    ]
    if not logged:
        return []
    return [
        f"On Example 3 |∇φ| = |cos x · cos(sin x)| is at most 1 (largest logged: {max(logged):.3g}). At an equal cap a "
        "normalised step, of length η, is therefore never shorter than a step along the exact gradient, η|∇φ|: small "
        "caps favour methods that normalise."
    ]


def _calls(evidence: Evidence, found: dict[str, list[MethodSearch]]) -> list[str]:
    said = []
    for name in found:
        table = ranks(evidence, name)
        own = table[table["method"] == "unibio"]
        if own.empty or not np.isfinite(own["calls"]).all():
            continue
        costs = table.groupby("method")["calls"].agg(["min", "max"])
        by_cost = sorted(costs.index, key=lambda method: (-costs.loc[method, "max"], method))
        spent = ", ".join(
            f"{methods.label(m)} {span(costs.loc[m, 'min'], costs.loc[m, 'max'], '.0f')}"
            for m in by_cost
            if math.isfinite(costs.loc[m, "max"])
        )
        best, small = (own[f"rank, equal calls{cap}"] for cap in ("", f", η ≤ {SMALL_CAP:g}"))
        said.append(
            f"`{name}` compares at equal iterations, whose costs differ: oracle calls of a run are {spent}. At the "
            f"calls of the cheapest run UniBiO's rank is {span(best.min(), best.max(), '.0f')} at its best steps and "
            f"{span(small.min(), small.max(), '.0f')} with upper steps up to {SMALL_CAP:g}, of "
            f"{table['method'].nunique()} methods."
        )
    return said


def _given(found: Sequence[MethodSearch]) -> list[str]:
    """What the searches leave fixed."""
    names = list(dict.fromkeys(one.method for one in found))
    config = {name: next(one for one in found if one.method == name).record.config["algorithm"] for name in names}
    said = []
    own = _by_p([one for one in found if one.method == "unibio"], "neumann_step")
    rivals = [one for one in found if crossing.terms(one) is not None]
    if own and rivals:
        one_method = [one for one in rivals if one.method == rivals[0].method]
        said.append(
            "The lengths of the Neumann sums, their steps and those on z are ours: the paper gives none for Example 3. "
            f"UniBiO's sum has step {own}, where D⁻¹∇²_yy g = 1; those of the others, and the steps on z, are one over "
            f"the largest Hessian on |y| ≤ 1, {_by_p(one_method, 'neumann_step')}. No others were tried."
        )
    groups: dict[int, list[str]] = {}
    for name in names:
        if name != "unibio":
            groups.setdefault(int(config[name].get("lower_iterations") or 1), []).append(methods.label(name))
    if groups:
        budgets = {int(config[name]["inner_budget"]) for name in names if config[name].get("inner_budget")}
        text = "An iteration is not the same work on the lower level: "
        text += "; ".join(
            f"{count} step{'s' * (count > 1)} by {', '.join(who)}" for count, who in sorted(groups.items())
        )
        if budgets:
            text += f"; UniBiO has a budget of K = {', '.join(map(str, sorted(budgets)))} a call of Epoch-SGD"
        said.append(f"{text}.")
    constant = [
        methods.label(name)
        for name in names
        if name in _DECAYING and not any(v for key, v in config[name].items() if key.endswith("decay"))
    ]
    if constant:
        said.append(f"{', '.join(constant)} run with constant steps and momenta, without the decays of their papers.")
    return said


def _seeds(found: dict[str, list[MethodSearch]]) -> list[str]:
    noisy = next((found[name] for name in NOISY if name in found), None)
    if not noisy:
        return []
    seeds, half = noisy[0].record.runs["seed"].nunique(), noisy[0].search.choosing_seeds
    if half == seeds:
        return [f"With noise there is {seeds} seed, which both chooses and judges."]
    return [
        f"With noise there are {seeds} seeds: {half} choose the steps, and which pairs solve the lower level, and "
        f"{seeds - half} judge."
    ]
