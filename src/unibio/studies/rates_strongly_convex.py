"""p = 2: how oracle calls grow with the accuracy, for UniBiO and the methods for strongly convex lower levels.

Each method's best of 96 settings for every number of calls, chosen by half of the seeds and judged by the others; the
exponent of its calls in 1/ε beside the one that its paper proves as a bound. Bounds are about the hardest instance, and
a quadratic is none: at or below is consistent.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from unibio.store.records import Record
from unibio.store.thinning import Kept
from unibio.studies.common import methods, style
from unibio.studies.common.claim import Claim
from unibio.studies.common.document import Block, Heading, Paragraph, frame_table
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.effort import Effort, fairly
from unibio.studies.common.envelopes import Family, costs, family, runs_at_best
from unibio.studies.common.evidence import Evidence, MissingRecordsError, method
from unibio.studies.common.kinds import Kind
from unibio.studies.common.soundness import MOST, descended
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import (
    CONSISTENT,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    VIOLATED,
    Outcome,
)
from unibio.studies.common.words import finite

EXPERIMENT = "rates_strongly_convex"
#: The exponents of ε^(−a) oracle calls for ‖∇φ‖ ≤ ε that the methods' papers prove, in the report's order.
CLAIMED = {"unibio": 4, "stocbio": 4, "ttsa": 5, "ma_soba": 4, "sustain": 3}
#: Said wherever one of them is not the paper's own.
DAGGER = "† as its paper states it as far as remembered"
#: The last two decades of the budget.
DECADES = 100.0


def families(evidence: Evidence) -> dict[str, Family]:
    """{method: its settings over the last two decades of oracle calls}, in the order of ``CLAIMED``.

    Raises:
        MissingRecordsError: the experiment was not run.
    """
    return evidence.once(_families)


def _families(evidence: Evidence) -> dict[str, Family]:
    return {name: _of(records) for name, records in by_method(evidence).items()}


def by_method(evidence: Evidence) -> dict[str, list[Record]]:
    """{method: its records}, of which UniBiO has one for each K = I; in the order of ``CLAIMED``.

    Raises:
        MissingRecordsError: the experiment was not run.
    """
    found = evidence.require(EXPERIMENT)
    every = {name: [record for record in found if method(record) == name] for name in CLAIMED}
    return {name: records for name, records in every.items() if records}


def _of(found: list[Record]) -> Family:
    budget = float(found[0].config["budget"])
    return family(found, costs(budget / DECADES, budget))


def _need(evidence: Evidence, *names: str) -> None:
    found = by_method(evidence)
    if absent := [methods.label(name) for name in names if name not in found]:
        missing = f"{EXPERIMENT}, {', '.join(absent)}"
        raise MissingRecordsError(missing, evidence.command(EXPERIMENT), evidence.root)


def _unsound(evidence: Evidence, name: str) -> str:
    """Why the setting that is best in the end is no working method, as a clause; "" where φ falls for most runs."""
    for record, best in runs_at_best(by_method(evidence)[name], families(evidence)[name]):
        if descended(record)[best].mean() <= MOST:
            return "φ does not fall at the best setting"
    return ""


# Rules ---------------------------------------------------------------------------------------------------------------


def bounded(evidence: Evidence, name: str) -> Outcome:
    """Whether a method's calls grow with 1/ε at most as its paper says: all of its interval at or below, or above.

    Over both decades, and over the last one by itself: what levels off, as where y is never updated, falls at first.
    """
    _need(evidence, name)
    one, claimed = families(evidence)[name], CLAIMED[name]
    fits = {"two decades": one.power, "the last": one.since(one.cost[-1] / DECADES**0.5).power}
    numbers: dict[str, Any] = {"claimed": claimed}
    for where, fit in fits.items():
        numbers[where] = {"exponent": finite(fit.exponent), "interval": [finite(end) for end in fit.interval]}
    said = ", ".join(f"{fit.said()} over {where}" for where, fit in fits.items())
    text = f"{methods.label(name)} needs ε^(−a) calls with a = {said}; claimed {claimed}"
    if not all(fit.known for fit in fits.values()):
        return Outcome(NOT_TESTABLE, f"{text}: runs diverged, or too few seeds", numbers)
    if any(fit.low > -1 / claimed for fit in fits.values()):
        return Outcome(VIOLATED, text, numbers)
    if broken := _unsound(evidence, name):
        return Outcome(NOT_TESTABLE, f"{text}; {broken}", numbers)
    below = all(fit.high <= -1 / claimed for fit in fits.values())
    return Outcome(CONSISTENT if below else NOT_TESTABLE, text, numbers)


def ordered(evidence: Evidence) -> Outcome:
    """Whether measured exponents have the order of the claimed ones, wherever these differ, intervals apart."""
    _need(evidence, *CLAIMED)
    found = families(evidence)
    fits = {name: one.power for name, one in found.items()}
    text = "measured exponents: " + ", ".join(f"{methods.label(name)} {fit.said()}" for name, fit in fits.items())
    numbers: dict[str, Any] = {name: finite(fit.exponent) for name, fit in fits.items()}
    efforts = {EXPERIMENT: {name: _effort(one) for name, one in found.items()}}
    working = {name: fit.known and not _unsound(evidence, name) for name, fit in fits.items()}
    if broken := [methods.label(name) for name, works in working.items() if not works]:
        return Outcome(NOT_TESTABLE, f"{text}; no working method is judged: {', '.join(broken)}", numbers)
    if flat := [methods.label(name) for name in fits if bounded(evidence, name).verdict != CONSISTENT]:
        text += f"; not all keep to what is claimed of them ({', '.join(flat)})"
        return Outcome(NOT_TESTABLE, text, numbers)
    pairs = [(a, b) for a, b in itertools.permutations(fits, 2) if CLAIMED[a] < CLAIMED[b]]
    apart = [fits[a].high < fits[b].low for a, b in pairs]
    turned = [(a, b) for a, b in pairs if fits[b].high < fits[a].low]
    if turned:
        said = "; ".join(f"{methods.label(b)} grows less than {methods.label(a)}" for a, b in turned)
        return fairly(Outcome(NOT_REPRODUCED, f"{text}; {said}", numbers), efforts)
    if not all(apart):
        text += f"; intervals are apart for {sum(apart)} of {len(apart)} pairs with different claims"
    return fairly(Outcome(REPRODUCED if all(apart) else NOT_TESTABLE, text, numbers), efforts)


def _effort(one: Family) -> Effort:
    settings, seeds, _ = one.values.shape
    return Effort(settings, one.choosing, seeds - one.choosing)


# Figure and section --------------------------------------------------------------------------------------------------


def table(evidence: Evidence) -> pd.DataFrame:
    """method, exponent, low, high of the bootstrap interval, claimed, settings."""
    rows = []
    for name, one in families(evidence).items():
        fit = one.power
        low, high = fit.interval
        mark = "" if name == "unibio" else "†"
        row = {"method": name, "exponent": fit.exponent, "low": low, "high": high}
        rows.append(row | {"claimed": f"{CLAIMED[name]}{mark}", "settings": len(one.settings)})
    return pd.DataFrame(rows)


def draw(evidence: Evidence) -> Drawn:
    """The envelopes, and the slopes of the claimed exponents from where UniBiO begins."""
    found = families(evidence)
    figure, ((panel,),) = style.panels(1, 1, 3.6, width=5.2)
    panel.set(xscale="log", yscale="log", xlabel="oracle calls", ylabel="mean of ‖∇φ‖ over the iterates, best setting")
    rows, top = [], math.nan
    for order, (name, one) in enumerate(found.items()):
        every = style.spread_markers(one.cost, order, log=True)
        panel.plot(one.cost, np.where(np.isfinite(one.envelope), one.envelope, np.nan), label=methods.label(name),
                   markevery=every, **methods.look(name))  # fmt: skip
        rows.append(pd.DataFrame({"method": name, "oracle_calls": one.cost, "norm": one.envelope}))
        top = max(one.envelope[0], top) if math.isfinite(top) else one.envelope[0]
    cost = next(iter(found.values())).cost
    for exponent, line in ((3, "-."), (4, "--"), (5, ":")):
        reference = 1.25 * top * (cost / cost[0]) ** (-1 / exponent)
        panel.plot(cost, reference, color=style.GREY, linestyle=line, linewidth=1.0, label=f"ε^(−{exponent})")
    style.log_labels(panel.xaxis, panel.yaxis)
    panel.legend(loc="lower left", ncols=2)
    return Drawn(figure, {"rates_strongly_convex": table(evidence), "rates_strongly_convex_curves": pd.concat(rows)})


def _blocks(evidence: Evidence) -> Iterable[Block]:
    yield Heading(3, "Exponents of oracle calls at p = 2")
    yield Paragraph(
        "Calls ∝ ε^(−a) over the last two decades of the budget: a with its 95% bootstrap interval over seeds and "
        f"settings. {DAGGER}."
    )
    yield frame_table(methods.labelled(table(evidence)))


def _claim(name: str) -> Claim:
    exponent, own = CLAIMED[name], name == "unibio"
    asked = f"whether {methods.label(name)} keeps to its complexity {DAGGER}"
    where = "Theorem 5.1 at p = 2" if own else asked
    text = f"{methods.label(name)} needs at most O(ε^(−{exponent})) oracle calls for ‖∇φ‖ ≤ ε at p = 2"
    rule: Callable[[Evidence], Outcome] = partial(bounded, name=name)
    kind = Kind.PAPER if own else Kind.QUESTION
    return Claim(f"calls-p2-{name.replace('_', '-')}", f"{text}{'' if own else '†'}.", kind, where, rule)


STUDY = Study(
    experiments=(EXPERIMENT,),
    kept=Kept(points=None, metrics=("hypergradient_norm_mean",), ends=("value",)),
    drawings=(
        Drawing(
            "rates_strongly_convex",
            "The least averaged ‖∇φ‖ for each number of oracle calls over 96 settings of every "
            "method, noisy quadratic; mean over seeds that did not choose.",
            draw,
            title="How many oracle calls an accuracy takes at p = 2",
        ),
    ),
    claims=(
        *map(_claim, CLAIMED),
        Claim(
            "calls-p2-ordered",
            "At p = 2 the methods' measured exponents have the order of the claimed ones†.",
            Kind.QUESTION,
            f"whether bounds of different papers predict which method is faster; {DAGGER}",
            ordered,
        ),
    ),
    blocks=_blocks,
    caveats=(
        f"Claimed exponents other than UniBiO's are marked with {DAGGER}. They bound calls on the hardest instance; "
        "on a strongly convex quadratic every method may do better, and the least exponent says nothing of a bound.",
        "StocBiO's bound is for growing batches; here it draws single samples, with smaller upper steps instead. "
        "MA-SOBA's and UniBiO's theorems let constant steps depend on the horizon; the best setting for each number of "
        "calls stands for that. TTSA and SUSTAIN have the decays of their theorems.",
        "The noise and UniBiO's pairs K = I were settled after a small trial with a third of the noise and one pair, "
        "in which UniBiO's exponent came out above its bound.",
    ),
)
