"""The rules that judge claims about ℓ_p-regression hyper-cleaning.

Methods are told apart by all reported seeds of one ending lower than all of the other, which two methods that are alike
do in 10% of cases with three seeds each; every rule says the rate of its own. Who is compared with whom is decided on
the choosing seeds, so that the winner's luck does not count.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from unibio.studies.common.comparisons import every
from unibio.studies.common.effort import fairly
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.statistics import CONFIDENCE
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.studies.lp_regression.tuned import (
    EXPERIMENT,
    EXPONENTS,
    SAME_SAMPLES,
    Tuned,
    false_alarm,
    separated,
    tuned,
)

#: Chance with which unordered methods may pass for a changed ranking.
FALSE_ALARM = 0.01


def lowest_value(p: int) -> Callable[[Evidence], Outcome]:
    """UniBiO, with the synthetic experiments' inner budget, ends lower than the best other method with as many samples.

    Only that budget is judged: with the better of two, UniBiO would have been given twice the configurations of the
    others. Methods that draw more data points for their calls are not judged, but named with their φ.
    """

    def rule(evidence: Evidence) -> Outcome:
        found = tuned(evidence, p)
        own = next((one for one in found if one.own and one.at is not None), None)  # the larger budget is first
        others = [one for one in found if not one.own]
        if own is None or not others:
            return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of UniBiO and of another method for p = {p}")
        samples = own.middle("samples")
        heavy = [one for one in others if one.middle("samples") > SAME_SAMPLES * samples]
        others = [one for one in others if one not in heavy]
        rival = _best(others)
        if rival is None:
            return Outcome(NOT_RUN, f"no other method has as many samples as UniBiO at p = {p} and a finite φ")
        gap, order = own.middle() - rival.middle(), separated(own, rival)
        given = {f"p = {p}": {one.method: one.search.effort() for one in (own, *others)}}
        numbers = {
            "value": {one.method: one.middle() for one in found},
            "own": own.method,
            "rival": rival.method,
            "gap": gap,
            "edges": {one.method: one.edges() for one in (own, rival) if one.edges()},
            "left_out_for_samples": {one.method: one.middle() for one in heavy},
            "false_alarm": false_alarm(own, rival),
        }
        text = (
            f"median φ {own.middle():.4f} for {own.method}, {rival.middle():.4f} for {rival.method}, the lowest of "
            f"the others on the choosing seeds; {sum(one.middle() < own.middle() for one in others)} of {len(others)} "
            "other methods that draw as many data points end lower"
        )
        for one in heavy:
            many = one.middle("samples") / samples
            text += f"; not judged: {one.method}, φ {one.middle():.4f}, which draws {many:.2g} times the data points"
        text += "".join(f"; {one.method}: {said}" for one in (own, rival) if (said := edges_said(one)))
        if order == 0:
            return Outcome(NOT_TESTABLE, f"{text}; the seeds do not tell the two apart", numbers)
        text += f"; told apart by every seed, as two methods that are alike are in {_rate(false_alarm(own, rival))}"
        behind = own if order > 0 else rival
        if behind.last_gain() >= abs(gap):
            return Outcome(NOT_TESTABLE, f"{text}: that range must be widened first", numbers)
        return fairly(Outcome(REPRODUCED if order < 0 else NOT_REPRODUCED, text, numbers), given)

    return rule


def edges_said(one: Tuned) -> str:
    """Which chosen steps are at an edge and what the last grid step outwards gained; "" for none."""
    if not (edges := one.edges()):
        return ""
    where = " and ".join(f"{name.replace('_', ' ')} at the {end} edge" for name, end in edges.items())
    return f"{where}, where the last step outwards lowered φ by {one.last_gain():.2g}"


def separates(evidence: Evidence) -> Outcome:
    """The interval of the AUC lies above ½ for every method and p, with one confidence for all intervals together.

    Each of n has confidence 1 − (1 − ``CONFIDENCE``)/n (Bonferroni), so that all hold at once with ``CONFIDENCE``.
    """
    found = tuned(evidence)
    each = 1 - (1 - CONFIDENCE) / len(found)
    intervals = {
        f"{one.method}, p = {one.exponent}": (one.middle("cleaning_auc"), *one.auc_interval(each)) for one in found
    }
    failing = [name for name, (_, low, _) in intervals.items() if not low > 0.5]
    if absent := [p for p in EXPONENTS if p not in {one.exponent for one in found}]:
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs records for p = {', '.join(map(str, absent))}")
    middles = [middle for middle, _, _ in intervals.values() if math.isfinite(middle)]
    if not middles:
        return Outcome(NOT_TESTABLE, "no method has a finite φ at any pair of steps, or nothing is corrupted", {})
    least = min(low for _, low, _ in intervals.values() if math.isfinite(low))
    text = (
        f"median AUC {min(middles):.3f} to {max(middles):.3f} over {len(intervals)} methods and exponents, lowest end "
        f"of an interval {least:.3f}, all intervals together at {CONFIDENCE:.0%}"
    )
    if failing:
        text += f"; not above ½: {', '.join(failing)}"
    return Outcome(
        NOT_REPRODUCED if failing else REPRODUCED,
        text,
        {"auc": intervals, "confidence_of_each": each, "not_above": failing},
    )


def ranking_changes(evidence: Evidence) -> Outcome:
    """More pairs of methods are ordered one way at the smallest p and the other at the largest than chance gives."""
    low, high = min(EXPONENTS), max(EXPONENTS)
    first, last = ({one.method: one for one in tuned(evidence, p)} for p in (low, high))
    if set(first) != set(last):
        lone = ", ".join(sorted(set(first) ^ set(last)))
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs every method at both p = {low} and p = {high}, not only {lone}")
    pairs = list(itertools.combinations(first, 2))
    orders = {(a, b): (separated(first[a], first[b]), separated(last[a], last[b])) for a, b in pairs}
    apart = [pair for pair, (x, y) in orders.items() if x and y]
    turned = [f"{a} and {b}" for a, b in apart if orders[a, b][0] != orders[a, b][1]]
    seeds = min((len(one.values) for here in (first, last) for one in here.values()), default=0)
    if not apart or seeds < 2:
        return Outcome(NOT_TESTABLE, f"no two methods are told apart both at p = {low} and p = {high}", {})
    # Two methods that are alike are told apart by n seeds each with probability 2 / (2n over n), and half of the pairs
    # told apart at both exponents by chance are turned.
    chance = (2 / math.comb(2 * seeds, seeds)) ** 2 / 2
    allowed = _quantile(1 - FALSE_ALARM, len(pairs), chance)
    ranks = {
        p: [one.method for one in sorted(here.values(), key=Tuned.middle)] for p, here in ((low, first), (high, last))
    }
    numbers = {"pairs": len(pairs), "apart_at_both": len(apart), "turned": turned, "by_chance": allowed, "ranks": ranks}
    text = (
        f"of {len(pairs)} pairs of methods {len(apart)} are told apart by their seeds at both p = {low} and p = {high} "
        f"and {len(turned)} of these are in the opposite order; were all alike, chance would turn more than {allowed} "
        f"in at most {_rate(FALSE_ALARM)}, if pairs did not share methods"
    )
    best = [f"{', '.join(names[:3])} (p = {p})" for p, names in ranks.items()]
    text += f"; lowest φ: {' and '.join(best)}"
    if not len(turned) > allowed and len(apart) < len(pairs) / 2:
        return Outcome(NOT_TESTABLE, f"{text}; too few pairs are told apart", numbers)
    return Outcome(REPRODUCED if len(turned) > allowed else NOT_REPRODUCED, text, numbers)


def better_classifier(evidence: Evidence) -> Outcome:
    """The lowest φ has the highest accuracy on clean test images, for every p, beyond what the test set resolves.

    Two accuracies are resolved where they differ by more than twice the standard error that a difference would have on
    two test sets of that size; on one and the same set it is smaller.
    """
    said, states, numbers = [], [], {}
    for p in EXPONENTS:
        found = [one for one in tuned(evidence, p) if np.isfinite(one.middle())]
        if len(found) < 2:
            return Outcome(NOT_RUN, f"fewer than two methods with a finite φ at p = {p}")
        accuracy = {one.method: one.middle("test_accuracy") for one in found}
        best = min(found, key=Tuned.middle)
        size = int(best.record.config["problem"]["size_test"])
        top, bottom = max(accuracy.values()), min(accuracy.values())
        resolved = 2 * math.sqrt((top * (1 - top) + bottom * (1 - bottom)) / size)
        mine = accuracy[best.method]
        states.append(0 if top - bottom <= resolved else (1 if mine == top else -1))
        numbers[f"p = {p}"] = {
            "lowest": best.method,
            "its_accuracy": mine,
            "accuracy": accuracy,
            "resolved": resolved,
        }
        said.append(f"p = {p}: {mine:.3f} for {best.method}, all {bottom:.3f} to {top:.3f}")
    text = f"median accuracy of the method with the lowest φ: {'; '.join(said)}"
    if -1 in states:
        return Outcome(NOT_REPRODUCED, text, numbers)
    if 0 in states:
        blurred = ", ".join(f"p = {p}" for p, state in zip(EXPONENTS, states, strict=True) if state == 0)
        text += f"; at {blurred} all methods lie within what {size} images resolve"
        return Outcome(NOT_TESTABLE, text, numbers)
    return Outcome(REPRODUCED, text, numbers)


def less_inner_work(evidence: Evidence) -> Outcome:
    """UniBiO with the smaller inner budget ends lower for every p."""
    orders, said, seeds, rates = {}, [], [], []
    for p in EXPONENTS:
        own = [one for one in tuned(evidence, p) if one.own]
        if len(own) != 2:
            return Outcome(NOT_RUN, f"{EXPERIMENT} needs two records of UniBiO for p = {p}, has {len(own)}")
        many, few = own
        orders[p] = separated(few, many)
        seeds += [len(many.values), len(few.values)]
        rates.append(false_alarm(few, many))
        said.append(f"{few.middle():.4f} against {many.middle():.4f} (p = {p})")
    text = f"median φ of {few.method} against {many.method}: {', '.join(said)}"
    # Alike budgets are told apart the wrong way at some p with probability 1 − Π(1 − rate/2), the right way at all with
    # Π(rate/2): no verdict of "reproduced" comes from that.
    wrong = 1 - math.prod(1 - rate / 2 for rate in rates)
    numbers = {"order": orders, "false_alarm_against": wrong}
    if min(seeds) < 2:
        return Outcome(NOT_TESTABLE, f"{text}; one seed tells nothing apart", numbers)
    if not every(np.isfinite(one.values).all() for one in tuned(evidence) if one.own):
        return Outcome(NOT_TESTABLE, f"{text}; runs at the chosen steps diverged", numbers)
    unclear = [p for p, order in orders.items() if order == 0]
    if 1 in orders.values():
        text += f"; one p the other way is enough against it, as budgets that are alike give in {_rate(wrong)}"
        return Outcome(NOT_REPRODUCED, text, numbers)
    if unclear:
        return Outcome(NOT_TESTABLE, f"{text}; seeds overlap for p = {', '.join(map(str, unclear))}", numbers)
    return Outcome(REPRODUCED, text, numbers)


def _rate(chance: float) -> str:
    return f"{chance:.2g} of cases" if chance < 0.005 else f"{chance:.0%} of cases"


def _quantile(level: float, n: int, chance: float) -> int:
    """The least k with P(at most k of n) ≥ level, for independent events; not scipy's, which would look for torch."""
    total = 0.0
    for k in range(n):
        total += math.comb(n, k) * chance**k * (1 - chance) ** (n - k)
        if total >= level:
            return k
    return n


def _best(found: Sequence[Tuned]) -> Tuned | None:
    """The lowest on the choosing seeds; None where nothing is finite."""
    finite = [one for one in found if one.at is not None]
    return min(finite, key=lambda one: float(one.search.chosen_by.min())) if finite else None
