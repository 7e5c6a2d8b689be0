"""The rules that judge claims about Appendix E.1 (see ``claims`` for what a rule is)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from unibio.analysis import crossing, e1
from unibio.analysis.claims import NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.analysis.e1_calls import searches_by_calls
from unibio.analysis.lr_search import TIE
from unibio.analysis.study import Study

#: How much larger a part of the searched pairs must be: half a cell along both sides of a block of 10 × 10 pairs, about
#: what converges, is a tenth of it.
MARGIN = 0.1
#: Normalised as UniBiO, with the classical Hessian.
TWIN = "bo_rep"


def first(
    experiment: str,
    methods: Sequence[str] | None,
    *,
    solved: bool = False,
    cap: float = math.inf,
    per_call: bool = False,
) -> Callable[[Study], Outcome]:
    """UniBiO's best pair of steps is the best or tied with it on every problem.

    Not testable where a range that ends too early could turn this round: one of UniBiO's where it is behind, one of
    another method's where it is ahead, on either axis, if the last grid step outwards gained as much as is missing.

    Args:
        experiment: whose searches are compared.
        methods: names of those compared; None for all.
        solved: among the pairs of steps that solve the lower level only.
        cap: largest upper step allowed, per coordinate where a method is normalised.
        per_call: at an equal number of oracle calls instead of iterations.
    """

    def rule(study: Study) -> Outcome:
        everything = searches_by_calls(study, experiment) if per_call else e1.searches(study, experiment)
        found = [one for one in everything if methods is None or one.method in methods]
        absent = {"unibio", *(methods or ())} - {one.method for one in found}
        if absent or len({one.method for one in found}) < 2:
            return Outcome(NOT_RUN, f"{experiment} holds no records of {', '.join(sorted(absent)) or 'other methods'}")
        table = e1.ranking(found, [cap], solved).set_index(["d", "p"])
        own = table[table["method"] == "unibio"]
        over = own["criterion"] / table.groupby(["d", "p"])["criterion"].min()
        leading = {_problem(key): bool(value) for key, value in own["first"].items()}
        shared = {_problem(key): sorted(rows.loc[rows["first"], "method"]) for key, rows in table.groupby(["d", "p"])}
        edges = {}
        for one in found:
            for name, axis in one.edges(solved, cap).items():
                edges[f"{one.method}, {_problem(one.problem)}: {name.replace('_', ' ')}"] = axis.where
        open_ = sorted({_problem(one.problem) for one in found if _may_turn(one, found, solved, cap)})
        numbers: dict[str, Any] = {
            # JSON holds no inf
            "criterion_over_best": {_problem(k): float(v) if math.isfinite(v) else None for k, v in over.items()},
            "rank": {_problem(key): int(value) for key, value in own["rank"].items()},
            "methods": len({one.method for one in found}),
            "first": shared,
            "ranges_that_end_too_early": edges,
            "undecided_for_that": open_,
        }
        text = "at an equal number of oracle calls " if per_call else ""
        text += f"with upper steps up to {cap:g} " if math.isfinite(cap) else ""
        text += "UniBiO's criterion is " + _by_problem(numbers["criterion_over_best"], "{:.3g}", "undefined")
        text += " times the best, its rank " + _by_problem(numbers["rank"], "{}") + f" of {numbers['methods']}"
        tied = {key: [n for n in names if n != "unibio"] for key, names in shared.items() if leading[key]}
        if any(tied.values()):
            text += f"; within {TIE:.0%} of the best together with it: " + _grouped(tied)
        ahead = {key: shared[key] for key, value in leading.items() if not value}
        if ahead:
            text += "; best instead: " + _grouped(ahead)
        if math.isinf(cap):
            text += "; " + _leads(found, solved, numbers)
        if edges:
            text += "; ranges that end too early: " + ", ".join(f"{name} ({end})" for name, end in edges.items())
        if any(not value and key not in open_ for key, value in leading.items()):
            return Outcome(NOT_REPRODUCED, text, numbers)
        if open_:
            text += f"; wider ranges may turn the order round at {', '.join(open_)}: they must be searched first"
            return Outcome(NOT_TESTABLE, text, numbers)
        return Outcome(REPRODUCED, text, numbers)

    return rule


def _may_turn(one: e1.MethodSearch, found: Sequence[e1.MethodSearch], solved: bool, cap: float) -> bool:
    """Whether a range of one method that ends too early leaves open if UniBiO is first on that problem."""
    if not one.edges(solved, cap):
        return False
    here = [other for other in found if other.problem == one.problem]
    own = next(other for other in here if other.method == "unibio").score(cap, solved)
    best = min(other.score(cap, solved) for other in here)
    leads = own <= (1 + TIE) * best
    if leads == (one.method == "unibio"):
        return False
    missing = one.score(cap, solved) - own / (1 + TIE) if leads else own - (1 + TIE) * best
    return one.last_gain(solved, cap) >= missing


def _leads(found: Sequence[e1.MethodSearch], solved: bool, numbers: dict[str, Any]) -> str:
    """At which caps on the upper step UniBiO is first on every problem; a cap is not what is claimed."""
    caps = e1.caps_of(found)
    table = e1.ranking(found, caps, solved)
    own = table[table["method"] == "unibio"].pivot_table(index="cap", columns=["d", "p"], values="first")
    leads = own.astype(bool).all(axis=1)
    where = list(leads.index[leads])
    numbers |= {"caps": len(caps), "caps_where_first": where, "widest_cap": caps[-1]}
    span = f"with caps {where[0]:.3g} to {where[-1]:.3g}" if where else "with no cap"
    return f"first or tied for every p {span} on the upper step, {len(where)} of {len(caps)} caps up to {caps[-1]:.3g}"


def lead_of_estimator(experiments: Sequence[str]) -> Callable[[Study], Outcome]:
    """Wherever UniBiO is first at small steps, the method that is normalised alike but uses the classical Hessian is
    not: only then is the lead the generalised estimator's."""

    def rule(study: Study) -> Outcome:
        leads, tied, said = 0, 0, []
        for experiment in experiments:
            table = e1.ranking(e1.searches(study, experiment), [e1.SMALL_CAP]).set_index(["d", "p", "method"])
            here = table["first"].unstack()
            if not {"unibio", TWIN} <= set(here):
                return Outcome(NOT_RUN, f"{experiment} needs records of unibio and {TWIN}")
            first_here = here[here["unibio"].astype(bool)]
            leads, tied = leads + len(first_here), tied + int(first_here[TWIN].astype(bool).sum())
            said.append(f"{experiment} {int(first_here[TWIN].astype(bool).sum())} of {len(first_here)}")
        text = (
            f"with upper steps up to {e1.SMALL_CAP:g} {TWIN}, normalised alike, is within {TIE:.0%} of the best, too, "
            f"on {tied} of the {leads} problems on which UniBiO is: {', '.join(said)}"
        )
        numbers = {"first": leads, "tied_with_it": tied}
        if not leads:
            return Outcome(NOT_TESTABLE, "UniBiO is nowhere first at small steps", numbers)
        return Outcome(NOT_REPRODUCED if tied else REPRODUCED, text, numbers)

    return rule


def _problem(key: Any) -> str:
    return f"p = {key[1]}" if key[0] == 1 else f"d = {key[0]}, p = {key[1]}"


def _by_problem(values: Mapping[str, Any], shown: str, absent: str = "") -> str:
    return ", ".join(f"{absent if v is None else shown.format(v)} ({key})" for key, v in values.items())


def _grouped(names: Mapping[str, Sequence[str]]) -> str:
    """Problems with the same names together."""
    groups: dict[str, list[str]] = {}
    for problem, which in names.items():
        groups.setdefault(", ".join(which) or "none", []).append(problem)
    if len(groups) == 1 < len(names):
        return f"{next(iter(groups))} (throughout)"
    return "; ".join(f"{which} ({', '.join(problems)})" for which, problems in groups.items())


def tuned_converges(study: Study) -> Outcome:
    """UniBiO's best pair of steps converges, for every p."""
    found = e1.searches(study, "e1", ["unibio"])
    by_p = {one.exponent: (at := one.best()) is not None and bool(one.converged[at]) for one in found}
    if not by_p:
        return Outcome(NOT_RUN, "e1 holds no records of UniBiO")
    steps = {one.exponent: float(one.upper[at[0]]) for one in found if (at := one.best()) is not None}
    text = "best upper steps " + ", ".join(f"{v:.3g} (p = {p})" for p, v in steps.items())
    failing = [p for p, converged in by_p.items() if not converged]
    text += "; |∇φ| stays small at the end for " + ("every p" if not failing else f"all but p = {_listed(failing)}")
    return Outcome(REPRODUCED if not failing else NOT_REPRODUCED, text, {"upper_step": steps, "converged": by_p})


def robust_to_steps(experiment: str) -> Callable[[Study], Outcome]:
    """UniBiO converges, with y solved, at a part of the searched pairs that is larger than every other method's by
    more than ``MARGIN``, on every problem; not testable where it is ahead by less."""

    def rule(study: Study) -> Outcome:
        table = e1.summary_of(study, experiment).set_index(["d", "p", "method"])
        share = table["converging, y solved"].unstack()
        if "unibio" not in share or len(share.columns) < 2:
            return Outcome(NOT_RUN, f"{experiment} holds no records of UniBiO and another method")
        others = share.drop(columns="unibio")
        own, best, names = share["unibio"], others.max(axis=1), others.idxmax(axis=1)
        text = "part of the searched pairs that converges with the lower level solved, UniBiO against the best other: "
        text += ", ".join(f"{own[key]:.1%} and {best[key]:.1%} ({names[key]}, {_problem(key)})" for key in share.index)
        numbers = {_problem(key): row.to_dict() for key, row in share.iterrows()}
        if bool((own > (1 + MARGIN) * best).all()):
            return Outcome(REPRODUCED, text, numbers)
        if bool((own > best).all()):
            return Outcome(NOT_TESTABLE, f"{text}; less than {MARGIN:.0%} more is what a grid can be off by", numbers)
        return Outcome(NOT_REPRODUCED, text, numbers)

    return rule


def trouble_at_zero(study: Study) -> Outcome:
    """For p > 2 every method with a truncated Neumann sum of the classical Hessian mostly fails to pass x = 0.

    "Mostly" is more than half of its pairs of steps in the crossing's window at which y follows y*(x). Not testable
    where such methods fail at p = 2, too, or where no pair is left to look at.
    """
    table = crossing.shares_of(study)
    table = table[(table["method"] != "unibio") & (table["pairs"] > 0)]
    sums, others = table[table["Q"].notna()], table[table["Q"].isna()]
    if sums.empty:
        return Outcome(NOT_RUN, "e1 holds no pairs of steps of methods with a Neumann sum in the crossing's window")
    passing = sums.set_index(["p", "method"])["passes"].unstack()
    lengths = ", ".join(f"{int(q)}" for q in sorted(sums["Q"].unique()))
    paces = {int(p): (float(r["pace"].min()), float(r["pace"].max())) for p, r in _paced(sums).groupby("p")}
    held = {int(str(p)): sorted(row.index[row < 0.5]) for p, row in passing.iterrows()}
    looked = {int(str(p)): sorted(row.index[row.notna()]) for p, row in passing.iterrows()}
    text = (
        f"methods with truncated sums (Q = {lengths}) that pass x = 0 unhindered with fewer than half of the pairs at "
    )
    text += "which y follows: " + "; ".join(
        f"p = {p}: {'all ' if names == looked[p] else ''}{len(names)} of {len(looked[p])}" for p, names in held.items()
    )
    text += "; median pace through the band over that before, by method: "
    text += ", ".join(f"{low:.2f} to {high:.2f} (p = {p})" for p, (low, high) in paces.items())
    text += f", where less than {crossing.SLOW:g} is held up"
    control = paces.get(2)
    mild = [
        p for p, names in held.items() if p > 2 and not names and control and p in paces and paces[p][1] < control[0]
    ]
    if mild:
        text += f": at p = {_listed(mild)} all are slower than any at p = 2, and not called held up for this threshold"
    free = _paced(others)
    if len(free):
        troubled = sorted(set(others.loc[others["passes"] < 0.5, "method"]))
        text += f"; methods without such a sum ({', '.join(sorted(set(free['method'])))}) have paces "
        text += (
            f"{free['pace'].min():.2f} to {free['pace'].max():.2f}; held up of these: {', '.join(troubled) or 'none'}"
        )
    numbers = {str(p): row.to_dict() for p, row in passing.iterrows()} | {"pace": paces, "held_up": held}
    if 2 not in held or not any(p > 2 for p in held):
        return Outcome(NOT_TESTABLE, f"{text}; at p = 2 or beyond it no pair is left", numbers)
    if held[2]:
        return Outcome(NOT_TESTABLE, f"{text}; the control p = 2 fails", numbers)
    every = all(names == looked[p] for p, names in held.items() if p > 2)
    return Outcome(REPRODUCED if every else NOT_REPRODUCED, text, numbers)


def _paced(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["pace"].notna()]


def lower_level_matters(study: Study) -> Outcome:
    """Whether every method's best pair solves the lower level, so that the search compares bilevel methods at all."""
    table: pd.DataFrame = e1.summary_of(study, "e1")
    ignored = table[~table["y solved at best"].astype(bool)]
    by_p = {int(str(p)): sorted(rows["method"]) for p, rows in ignored.groupby("p")}
    text = "methods whose best pair leaves ‖y − y*(x)‖ large: "
    text += "; ".join(f"p = {p}: {', '.join(names)}" for p, names in by_p.items()) or "none"
    if not by_p:
        return Outcome(REPRODUCED, text, {"ignored": by_p, "pairs": len(table)})
    return Outcome(NOT_REPRODUCED, text, {"ignored": by_p, "pairs": len(table)})


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{v:g}" for v in values)
