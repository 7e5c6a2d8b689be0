"""The rules that judge claims about Appendix E.1 (see ``claims`` for what a rule is)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from unibio.analysis import crossing, e1
from unibio.analysis.claims import CONFOUNDED, NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.analysis.lr_search import TIE
from unibio.analysis.study import Study


def first(experiment: str, methods: Sequence[str] | None, solved: bool = False) -> Callable[[Study], Outcome]:
    """UniBiO is best or tied on every problem: at all caps' widest, only below some cap, or never.

    Not testable where UniBiO is behind while its own best upper step lies at the edge of what was searched. ``solved``:
    among the pairs of steps that solve the lower level only.
    """

    def rule(study: Study) -> Outcome:
        found = e1.searches(study, experiment, methods)
        absent = {"unibio", *(methods or ())} - {one.method for one in found}
        if absent or len({one.method for one in found}) < 2:
            return Outcome(NOT_RUN, f"{experiment} holds no records of {', '.join(sorted(absent)) or 'other methods'}")
        caps = e1.caps_of(found)
        table = e1.ranking(found, caps, solved)
        own = table[table["method"] == "unibio"].pivot_table(index="cap", columns=["d", "p"], values="first")
        leads = own.astype(bool).all(axis=1)
        widest, where = bool(leads.iloc[-1]), list(leads.index[leads])
        numbers = {"caps": len(caps), "caps_where_first": where, "widest_cap": caps[-1]}
        free = table[table["cap"] == caps[-1]]
        behind = (
            free[free["method"] == "unibio"].set_index(["d", "p"])["criterion"]
            / free.groupby(["d", "p"])["criterion"].min()
        )
        over = {_problem(key): float(v) if math.isfinite(v) else None for key, v in behind.items()}  # JSON holds no inf
        numbers["criterion_over_best"] = over
        winners = free[free["first"]].groupby(["d", "p"])["method"].agg(lambda names: ", ".join(sorted(names)))
        numbers["first_at_the_widest_cap"] = {_problem(key): names for key, names in winners.items()}
        edges = [
            f"{one.method} ({_problem(one.problem)})"
            for one in found
            if one.best(solved=solved) is not None and one.axes(solved)["upper_step"].kind == "edge"
        ]
        numbers["upper_step_at_an_edge"] = edges
        span = f"for largest η {where[0]:.3g} to {where[-1]:.3g}" if where else "for no largest η"
        text = (
            f"UniBiO is best, or tied within {TIE:.0%}, for every p {span}, at {len(where)} of {len(caps)} caps on the "
            f"upper step; with all steps up to {caps[-1]:.3g} allowed its criterion is "
            + ", ".join(f"{v:.3g} ({_problem(key)})" for key, v in behind.items())
            + " times the best"
        )
        if edges:
            text += f"; best upper steps at an edge of the searched range: {', '.join(edges)}"
        if widest:
            return Outcome(REPRODUCED if leads.iloc[leads.argmax() :].all() else CONFOUNDED, text, numbers)
        if any(edge.startswith("unibio ") for edge in edges):
            return Outcome(NOT_TESTABLE, text + ": UniBiO's own range must be widened first", numbers)
        return Outcome(CONFOUNDED if where else NOT_REPRODUCED, text, numbers)

    return rule


def _problem(key: Any) -> str:
    return f"p = {key[1]}" if key[0] == 1 else f"d = {key[0]}, p = {key[1]}"


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


def robust_to_steps(study: Study) -> Outcome:
    """UniBiO converges at a larger part of the searched pairs than every other method, y solved too, for every p."""
    table = e1.summary_of(study, "e1").set_index(["p", "method"])
    share = table["converging, y solved"].unstack()
    if "unibio" not in share or len(share.columns) < 2:
        return Outcome(NOT_RUN, "e1 holds no records of UniBiO and another method")
    others = share.drop(columns="unibio")
    ahead = share["unibio"] > others.max(axis=1)
    text = "part of the searched pairs that converges with the lower level solved, UniBiO against the best other: "
    text += ", ".join(
        f"{share['unibio'][p]:.0%} and {others.loc[p].max():.0%} ({others.loc[p].idxmax()}, p = {p})"
        for p in share.index
    )
    numbers = {str(p): row.to_dict() for p, row in share.iterrows()}
    if ahead.all():
        return Outcome(REPRODUCED, text, numbers)
    return Outcome(NOT_REPRODUCED, text, numbers)


def trouble_at_zero(study: Study) -> Outcome:
    """For p > 2 every method that uses the classical Hessian mostly fails to pass x = 0; for p = 2 it mostly passes.

    "Mostly" is more than half of its pairs of steps in the crossing's window. Confounded where some methods do and some
    do not: it is then the method, not the vanishing Hessian alone.
    """
    table = crossing.shares_of(study)
    table = table[(table["method"] != "unibio") & (table["pairs"] > 0)]
    if table.empty:
        return Outcome(NOT_RUN, "e1 holds no pairs of steps of other methods within the crossing's window")
    passing = table.set_index(["p", "method"])["passes"].unstack()
    troubled = passing < 0.5
    higher = troubled[troubled.index > 2]
    control = bool((~troubled[troubled.index == 2]).all(axis=None))
    text = "methods that pass x = 0 unhindered with fewer than half of their pairs: "
    text += "; ".join(f"p = {p}: {', '.join(row.index[row]) or 'none'}" for p, row in troubled.iterrows())
    numbers = {str(p): row.to_dict() for p, row in passing.iterrows()}
    if control and bool(higher.all(axis=None)):
        return Outcome(REPRODUCED, text, numbers)
    return Outcome(CONFOUNDED if bool(higher.any(axis=None)) else NOT_REPRODUCED, text, numbers)


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
