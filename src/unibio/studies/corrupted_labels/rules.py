"""The rules that judge claims about corrupted labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unibio.studies.common import methods
from unibio.studies.common.comparisons import every
from unibio.studies.common.effort import Effort, fairly
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.statistics import no_higher
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.studies.common.words import finite
from unibio.studies.corrupted_labels.measures import (
    EXPERIMENT,
    FIRST_ORDER,
    JUDGING,
    SECOND_ORDER,
    WITHOUT,
    AtBest,
    best,
)

#: Losses within this fraction of each other are alike: what is no higher is so by no more.
ALIKE = 0.05


def bilevel_helps(evidence: Evidence) -> Outcome:
    """Every bilevel method ends below training without, at every rate and batch size.

    Below and not below are by :func:`unibio.studies.common.statistics.no_higher` without a margin, on the judging
    seeds. Not testable where training without diverges, where a method's lower level is left unsolved, where seeds do
    not tell, or where a range that ends too early could turn it round.
    """
    failing: list[str] = []
    unclear: list[str] = []
    open_: list[str] = []
    numbers: dict[str, float | None] = {}
    found = best(evidence)
    if lacking := _lacking(found):
        return Outcome(NOT_RUN, lacking)
    for setting in dict.fromkeys(one.setting for one in found):
        here = [one for one in found if one.setting == setting]
        without = [one for one in here if one.method == WITHOUT]
        others = [one for one in here if one.method != WITHOUT and one.solved]
        if not without or len(here) < 2:
            return Outcome(NOT_RUN, f"{EXPERIMENT} needs a bilevel method and training without, with {setting}")
        for one in others:
            name = f"{methods.label(one.method)} ({one.setting})"
            missing = float(np.median(one.loss) - np.median(without[0].loss))
            numbers[name] = finite(missing)
            order = no_higher(one.loss, without[0].loss, 0.0)
            (failing if order < 0 else unclear if order == 0 else []).append(name)
            if _may_turn(*((one, missing) if order < 0 else (without[0], -missing))):
                open_.append(name)
    left_out = _left_out(found)
    if not numbers:
        return Outcome(NOT_TESTABLE, f"no bilevel method solves its lower level{left_out}")
    gains = [value for value in numbers.values() if value is not None]
    below = len(numbers) - len(failing) - len(unclear)
    text = f"{below} of {len(numbers)} methods and settings end below training without"
    text += f", by up to {-min(gains):.3f}" if gains else ""
    text += f"; not {', '.join(failing)}" if failing else ""
    text += f"; not told by the seeds: {', '.join(unclear)}" if unclear else ""
    text += left_out + _undecided(open_)
    verdict = NOT_TESTABLE if failing or unclear or left_out or open_ else REPRODUCED
    if set(failing) - set(open_):
        verdict = NOT_REPRODUCED
    return fairly(Outcome(verdict, text, {"difference": numbers}), efforts(found), JUDGING)


def first_order_keeps_up(evidence: Evidence) -> Outcome:
    """The best first-order method ends no higher than the best with the Hessian, at every rate and batch size.

    By :func:`unibio.studies.common.statistics.no_higher` with a margin of ``ALIKE``: what seeds leave open is not
    testable, so that noise does not make it likelier to keep up; nor is what a range that ends too early could turn,
    or a first-order method that is no lower than training without any upper level.
    """
    said, states, numbers, open_ = [], {}, {}, []
    idle: list[str] = []
    found = best(evidence)
    if lacking := _lacking(found):
        return Outcome(NOT_RUN, lacking)
    for setting in dict.fromkeys(one.setting for one in found):
        here = [one for one in found if one.setting == setting and np.isfinite(one.loss).all() and one.solved]
        kinds = [[one for one in here if one.method in kind] for kind in (FIRST_ORDER, SECOND_ORDER)]
        if not all(kinds):
            return Outcome(NOT_RUN, f"{EXPERIMENT} needs methods of both kinds that converge, with {setting}")
        first, second = (min(kind, key=lambda one: float(np.median(one.loss))) for kind in kinds)
        without = [one for one in found if one.setting == setting and one.method == WITHOUT]
        if any(not first.loss.max() < one.loss.min() for one in without):
            idle.append(setting)
        states[setting] = no_higher(first.loss, second.loss, ALIKE * abs(float(np.mean(second.loss))))
        without = [one for one in found if one.setting == setting and one.method == WITHOUT]
        if any(not first.loss.max() < one.loss.min() for one in without):
            idle.append(setting)
        behind, leader = (kinds[0], second) if states[setting] < 0 else (kinds[1], first)
        if any(_may_turn(one, float(np.median(one.loss) - np.median(leader.loss))) for one in behind):
            open_.append(setting)
        numbers[setting] = {methods.label(one.method): float(np.median(one.loss)) for one in here}
        ends = (f"{np.median(one.loss):.3f} ({methods.label(one.method)})" for one in (first, second))
        said.append(f"{setting}: {' against '.join(ends)}")
    text = f"lowest median outer loss: {'; '.join(said)}{_left_out(found)}{_undecided(open_)}"
    given = efforts(found)
    if any(state < 0 for setting, state in states.items() if setting not in open_):
        return fairly(Outcome(NOT_REPRODUCED, text, numbers), given, JUDGING)
    if idle:
        text += f"; no lower than training without: {', '.join(idle)}"
    if open_ or idle:
        return fairly(Outcome(NOT_TESTABLE, text, numbers), given, JUDGING)
    if idle:
        text += f"; no lower than training without: {', '.join(idle)}"
        return fairly(Outcome(NOT_TESTABLE, text, numbers), given, JUDGING)
    if every(state > 0 for state in states.values()):
        return fairly(Outcome(REPRODUCED, text, numbers), given, JUDGING)
    text += f"; the seeds do not tell whether it is more than {ALIKE:.0%} higher"
    return fairly(Outcome(NOT_TESTABLE, text, numbers), given, JUDGING)


def _lacking(found: Sequence[AtBest]) -> str:
    """What is missing to speak of both corruption rates and batch sizes; "" for nothing."""
    rates, batches = {one.rate for one in found}, {one.batch for one in found}
    whole = len({one.setting for one in found}) == len(rates) * len(batches)
    enough = whole and min(len(rates), len(batches)) > 1
    return "" if enough else f"{EXPERIMENT} needs two corruption rates, each with two batch sizes"


def efforts(found: Sequence[AtBest]) -> dict[str, dict[str, Effort]]:
    """What every method was given at every rate and batch size."""
    given: dict[str, dict[str, Effort]] = {}
    for one in found:
        given.setdefault(one.setting, {})[methods.label(one.method)] = one.effort
    return given


def _may_turn(one: AtBest, missing: float) -> bool:
    """Whether a range of a method that is behind ends too early: its last grid step gained as much as is missing."""
    return bool(one.edges) and 0 < missing <= one.last_gain


def _undecided(where: Sequence[str]) -> str:
    return f"; wider ranges may turn the order round: {'; '.join(where)}" if where else ""


def _left_out(found: Sequence[AtBest]) -> str:
    unsolved = [f"{methods.label(one.method)} ({one.setting})" for one in found if not one.solved]
    return f"; not judged, as the lower level is left unsolved: {', '.join(unsolved)}" if unsolved else ""
