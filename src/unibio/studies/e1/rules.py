"""The rules that judge claims about Appendix E.1."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from unibio.studies.common import methods
from unibio.studies.common.comparisons import every
from unibio.studies.common.effort import Effort, fairly
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.search import TIE
from unibio.studies.common.verdicts import EXPONENTS, NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.studies.common.words import listed
from unibio.studies.e1 import crossing
from unibio.studies.e1.calls import searches_by_calls
from unibio.studies.e1.search import PAPER_METHODS, SMALL_CAP, MethodSearch, caps_of, ranking, searches, summary_of

#: How much larger a part of the searched pairs must be: half a cell along both sides of a block of 10 × 10 pairs, about
#: what converges, is a tenth of it.
MARGIN = 0.1
#: Normalised as UniBiO, with the classical Hessian.
TWIN = "bo_rep"


def first(
    experiment: str,
    among: Sequence[str] | None,
    *,
    solved: bool = False,
    cap: float = math.inf,
    per_call: bool = False,
) -> Callable[[Evidence], Outcome]:
    """UniBiO's best pair of steps is the best or tied with it on every problem.

    Not testable where it leads with pairs only that leave the lower level unsolved, or no other method gets anywhere.
    Nor where a range that ends too early could turn this round: one of UniBiO's where it is behind, one of another
    method's where it is ahead, on either axis, if the last grid step outwards gained as much as is missing.

    Args:
        experiment: whose searches are compared.
        among: names of the methods that are compared; None for all.
        solved: among the pairs of steps that solve the lower level only.
        cap: largest upper step allowed, per coordinate where a method is normalised.
        per_call: at an equal number of oracle calls instead of iterations.
    """

    def rule(evidence: Evidence) -> Outcome:
        everything = searches_by_calls(evidence, experiment) if per_call else searches(evidence, experiment)
        found = [one for one in everything if among is None or one.method in among]
        absent = {"unibio", *(among or ())} - {one.method for one in found}
        if absent or len({one.method for one in found}) < 2:
            return Outcome(NOT_RUN, f"{experiment} holds no records of {_named(sorted(absent)) or 'other methods'}")
        if lacking := _lacking(found):
            return Outcome(NOT_RUN, f"{experiment} holds no records of {lacking}")
        table = ranking(found, [cap], solved).set_index(["d", "p"])
        own = table[table["method"] == "unibio"]
        over = own["criterion"] / table.groupby(["d", "p"])["criterion"].min()
        leading = {_problem(key): bool(value) for key, value in own["first"].items()}
        shared = {_problem(key): sorted(rows.loc[rows["first"], "method"]) for key, rows in table.groupby(["d", "p"])}
        edges = {
            (one.method, f"{_problem(one.problem)}: {name.replace('_', ' ')}"): axis.where
            for one in found
            for name, axis in one.edges(solved, cap).items()
        }
        open_ = sorted({_problem(one.problem) for one in found if _may_turn(one, found, solved, cap)})
        numbers: dict[str, Any] = {
            # JSON holds no inf
            "criterion_over_best": {_problem(k): float(v) if math.isfinite(v) else None for k, v in over.items()},
            "rank": {_problem(key): int(value) for key, value in own["rank"].items()},
            "methods": len({one.method for one in found}),
            "first": shared,
            "ranges_that_end_too_early": {f"{name}, {where}": end for (name, where), end in edges.items()},
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
            said = (f"{methods.label(name)}, {where} ({end})" for (name, where), end in edges.items())
            text += f"; ranges that end too early: {', '.join(said)}"
        given = efforts(found)
        if any(not value and key not in open_ for key, value in leading.items()):
            return fairly(Outcome(NOT_REPRODUCED, text, numbers), given)
        if open_:
            text += f"; wider ranges may turn the order round at {', '.join(open_)}: they must be searched first"
            return Outcome(NOT_TESTABLE, text, numbers)
        if alone := _alone(found, cap):
            return Outcome(NOT_TESTABLE, f"{text}; no other method gets anywhere at {', '.join(alone)}", numbers)
        mine = [one for one in found if one.method == "unibio"]
        if aside := [_problem(one.problem) for one in mine if not _leads_solved(one, found, cap)]:
            text += f"; at {', '.join(aside)} it leads with pairs only that leave the lower level unsolved"
            return Outcome(NOT_TESTABLE, text, numbers)
        return fairly(Outcome(REPRODUCED, text, numbers), given)

    return rule


def efforts(found: Sequence[MethodSearch]) -> dict[str, dict[str, Effort]]:
    """What every method was given on every problem."""
    given: dict[str, dict[str, Effort]] = {}
    for one in found:
        given.setdefault(_problem(one.problem), {})[methods.label(one.method)] = one.effort
    return given


def _lacking(found: Sequence[MethodSearch]) -> str:
    """Which methods are absent on a problem on which others were run, in words; "" for none."""
    names, problems = {one.method for one in found}, {one.problem for one in found}
    there = {(one.method, one.problem) for one in found}
    absent = sorted((name, problem) for name in names for problem in problems if (name, problem) not in there)
    return ", ".join(f"{methods.label(name)} ({_problem(problem)})" for name, problem in absent)


def _alone(found: Sequence[MethodSearch], cap: float) -> list[str]:
    """The problems on which no method but UniBiO gets anywhere with any pair of steps up to a cap."""
    beside = {one.problem: False for one in found}
    for one in found:
        beside[one.problem] |= one.method != "unibio" and math.isfinite(one.score(cap))
    return [_problem(problem) for problem, there in beside.items() if not there]


def _leads_solved(own: MethodSearch, found: Sequence[MethodSearch], cap: float) -> bool:
    """Whether UniBiO is first with a pair of steps that solves its lower level, whatever the others leave unsolved."""
    best = min(one.score(cap) for one in found if one.problem == own.problem)
    return own.score(cap, solved=True) <= (1 + TIE) * best


def _may_turn(one: MethodSearch, found: Sequence[MethodSearch], solved: bool, cap: float) -> bool:
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


def _leads(found: Sequence[MethodSearch], solved: bool, numbers: dict[str, Any]) -> str:
    """At which caps on the upper step UniBiO is first on every problem; a cap is not what is claimed."""
    caps = caps_of(found)
    table = ranking(found, caps, solved)
    own = table[table["method"] == "unibio"].pivot_table(index="cap", columns=["d", "p"], values="first")
    leads = own.astype(bool).all(axis=1)
    where = list(leads.index[leads])
    numbers |= {"caps": len(caps), "caps_where_first": where, "widest_cap": caps[-1]}
    span = f"with caps {where[0]:.3g} to {where[-1]:.3g}" if where else "with no cap"
    return f"first or tied for every p {span} on the upper step, {len(where)} of {len(caps)} caps up to {caps[-1]:.3g}"


def lead_of_estimator(experiments: Sequence[str]) -> Callable[[Evidence], Outcome]:
    """Wherever UniBiO is first at small steps, the method that is normalised alike but uses the classical Hessian is
    not: only then is the lead the generalised estimator's.

    UniBiO is first with a pair that solves its lower level; the other must get somewhere, or it shows nothing.
    """

    def rule(evidence: Evidence) -> Outcome:
        leads, tied, said, lost = 0, 0, [], []
        given: dict[str, dict[str, Effort]] = {}
        for experiment in experiments:
            found = searches(evidence, experiment)
            given |= {f"{experiment}, {problem}": sides for problem, sides in efforts(found).items()}
            by_problem: dict[tuple[int, int], dict[str, MethodSearch]] = {}
            for one in found:
                by_problem.setdefault(one.problem, {})[one.method] = one
            if not by_problem or any(not {"unibio", TWIN} <= set(here) for here in by_problem.values()):
                return Outcome(NOT_RUN, f"{experiment} needs records of {_named(('unibio', TWIN))} on every problem")
            first_here = [here for here in by_problem.values() if _leads_solved(here["unibio"], found, SMALL_CAP)]
            with_it = [here for here in first_here if _first_at_small(here[TWIN], found)]
            lost += [_problem(problem) for problem, here in by_problem.items() if _lost(here[TWIN])]
            leads, tied = leads + len(first_here), tied + len(with_it)
            said.append(f"{experiment} {len(with_it)} of {len(first_here)}")
        text = (
            f"with upper steps up to {SMALL_CAP:g} {methods.label(TWIN)}, normalised alike, is within {TIE:.0%} of the "
            f"best, too, on {tied} of the {leads} problems on which UniBiO is: {', '.join(said)}"
        )
        numbers = {"first": leads, "tied_with_it": tied}
        if not leads:
            return Outcome(NOT_TESTABLE, "UniBiO is nowhere first at small steps with its lower level solved", numbers)
        if tied:
            return fairly(Outcome(NOT_REPRODUCED, text, numbers), given)
        if lost:
            return Outcome(NOT_TESTABLE, f"{text}; {methods.label(TWIN)} gets nowhere at {', '.join(lost)}", numbers)
        return fairly(Outcome(REPRODUCED, text, numbers), given)

    return rule


def _lost(one: MethodSearch) -> bool:
    """Whether a method gets nowhere with small steps."""
    return not math.isfinite(one.score(SMALL_CAP))


def _first_at_small(one: MethodSearch, found: Sequence[MethodSearch]) -> bool:
    """Whether a method is within a tie of the best at small steps."""
    best = min(other.score(SMALL_CAP) for other in found if other.problem == one.problem)
    return math.isfinite(best) and one.score(SMALL_CAP) <= (1 + TIE) * best


def _problem(key: Any) -> str:
    """(d, p) in words."""
    return f"p = {key[1]}" if key[0] == 1 else f"d = {key[0]}, p = {key[1]}"


def _named(names: Iterable[str]) -> str:
    return ", ".join(map(methods.label, names))


def _by_problem(values: Mapping[str, Any], shown: str, absent: str = "") -> str:
    return ", ".join(f"{absent if v is None else shown.format(v)} ({key})" for key, v in values.items())


def _grouped(names: Mapping[str, Sequence[str]]) -> str:
    """Problems with the same methods together."""
    groups: dict[str, list[str]] = {}
    for problem, which in names.items():
        groups.setdefault(_named(which) or "none", []).append(problem)
    if len(groups) == 1 < len(names):
        return f"{next(iter(groups))} (throughout)"
    return "; ".join(f"{which} ({', '.join(problems)})" for which, problems in groups.items())


def tuned_converges(evidence: Evidence) -> Outcome:
    """UniBiO's best pair of steps converges, for every p, and some pair does with the lower level solved."""
    found = searches(evidence, "e1", ["unibio"])
    if not found:
        return Outcome(NOT_RUN, "e1 holds no records of UniBiO")
    by_p = {one.exponent: (at := one.best()) is not None and bool(one.converged[at]) for one in found}
    solved = {one.exponent: bool(one.solved.any()) for one in found}
    steps = {one.exponent: one.steps(at)["upper_step"] for one in found if (at := one.best()) is not None}
    text = "best upper steps " + ", ".join(f"{v:.3g} (p = {p})" for p, v in steps.items())
    failing = [p for p, converged in by_p.items() if not converged]
    text += "; |∇φ| stays small at the end for " + ("every p" if not failing else f"all but p = {listed(failing)}")
    if not every(solved.values()):
        text += f"; no pair solves the lower level, too, at p = {listed(p for p, so in solved.items() if not so)}"
    numbers = {"upper_step": steps, "converged": by_p, "with_lower_level_solved": solved}
    ok = every(by_p.values()) and every(solved.values())
    return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, numbers)


def robust_to_steps(experiment: str) -> Callable[[Evidence], Outcome]:
    """UniBiO converges, with y solved, at a part of the searched pairs that is larger than every other method's by
    more than ``MARGIN``, on every problem; not testable where it is ahead by less, or of nobody."""

    def rule(evidence: Evidence) -> Outcome:
        table = summary_of(evidence, experiment).set_index(["d", "p", "method"])
        share = table["converging, y solved"].unstack()
        if "unibio" not in share or len(share.columns) < 2:
            return Outcome(NOT_RUN, f"{experiment} holds no records of UniBiO and another method")
        if share.isna().any(axis=None):
            return Outcome(NOT_RUN, f"{experiment} does not hold every method on every problem")
        others = share.drop(columns="unibio")
        own, best, names = share["unibio"], others.max(axis=1), others.idxmax(axis=1)
        text = "part of the searched pairs that converges with the lower level solved, UniBiO against the best other: "
        text += ", ".join(
            f"{own[key]:.1%} and {best[key]:.1%} ({methods.label(names[key])}, {_problem(key)})" for key in share.index
        )
        numbers = {_problem(key): row.to_dict() for key, row in share.iterrows()}
        if every(own > best) and not every(best > 0):
            return Outcome(NOT_TESTABLE, f"{text}; no other method converges anywhere on some problem", numbers)
        given = efforts(searches(evidence, experiment))
        if every(own > (1 + MARGIN) * best):
            return fairly(Outcome(REPRODUCED, text, numbers), given)
        if every(own > best):
            return Outcome(NOT_TESTABLE, f"{text}; less than {MARGIN:.0%} more is what a grid can be off by", numbers)
        return fairly(Outcome(NOT_REPRODUCED, text, numbers), given)

    return rule


def trouble_at_zero(evidence: Evidence) -> Outcome:
    """For p > 2 every method with a truncated Neumann sum of the classical Hessian mostly fails to pass x = 0.

    "Mostly" is more than half of its pairs of steps in the crossing's window at which y follows y*(x). Not testable
    where such methods fail at p = 2, too, or where no pair is left to look at.
    """
    table = crossing.shares_of(evidence)
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
        text += f": at p = {listed(mild)} all are slower than any at p = 2, and not called held up for this threshold"
    free = _paced(others)
    if len(free):
        troubled = sorted(set(others.loc[others["passes"] < 0.5, "method"]))
        text += (
            f"; methods without such a sum ({_named(sorted(set(free['method'])))}) have paces "
            f"{free['pace'].min():.2f} to {free['pace'].max():.2f}; held up of these: {_named(troubled) or 'none'}"
        )
    numbers = {str(p): row.to_dict() for p, row in passing.iterrows()} | {"pace": paces, "held_up": held}
    unseen = [p for p in EXPONENTS if len(looked.get(p, ())) < len(passing.columns)]
    if unseen:
        return Outcome(NOT_TESTABLE, f"{text}; of some method no pair is left at p = {listed(unseen)}", numbers)
    if held[2]:
        return Outcome(NOT_TESTABLE, f"{text}; the control p = 2 fails", numbers)
    ok = every(names == looked[p] for p, names in held.items() if p > 2)
    return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, numbers)


def _paced(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["pace"].notna()]


def lower_level_matters(evidence: Evidence) -> Outcome:
    """Whether every method's best pair solves the lower level, so that the search compares bilevel methods at all."""
    table: pd.DataFrame = summary_of(evidence, "e1")
    there = {(int(p), name) for p, name in zip(table["p"], table["method"], strict=True)}
    if absent := sorted({name for p in EXPONENTS for name in PAPER_METHODS if (p, name) not in there}):
        return Outcome(NOT_RUN, f"e1 needs records of {_named(absent)} for every p")
    ignored = table[~table["y solved at best"].astype(bool)]
    by_p = {int(str(p)): sorted(rows["method"]) for p, rows in ignored.groupby("p")}
    text = "methods whose best pair leaves ‖y − y*(x)‖ large: "
    text += "; ".join(f"p = {p}: {_named(names)}" for p, names in by_p.items()) or "none"
    return Outcome(NOT_REPRODUCED if by_p else REPRODUCED, text, {"ignored": by_p, "pairs": len(table)})
