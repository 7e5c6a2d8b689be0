"""The rules that judge what is said of the released code's deviations (see ``claims`` for what a rule is)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from unibio.analysis.claims import NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, SAME, Outcome
from unibio.analysis.discrepancies import PUBLISHED, ROUNDING, SMALLEST, TIMES, by_step, summary
from unibio.analysis.study import Study

#: Deviations that change what a method comes to, and those that change whether and how fast it does.
BIASED = ("stocbio_headless", "ttsa_bare", "saba_opposite", "unibio_transposed")
SLOWED = tuple(name for name in PUBLISHED if name not in BIASED)
#: The smallest ‖∇φ‖ this many times the published method's is a bias: more than seeds and circling make of it.
FACTOR = 2.0


def moves_the_rest(study: Study) -> Outcome:
    """Every deviation in ``BIASED`` comes to no less than ``FACTOR`` times the published method's smallest ‖∇φ‖."""

    def judge(table: pd.DataFrame) -> tuple[dict[str, bool], str, dict[str, object]]:
        over = {name: float(table.loc[name, TIMES]) for name in BIASED}
        text = "smallest ‖∇φ‖ over the upper steps, against the published method: " + ", ".join(
            f"{_level(table.loc[name, SMALLEST])} and {_level(table.loc[PUBLISHED[name], SMALLEST])} ({name})"
            for name in BIASED
        )
        return {name: ratio > FACTOR for name, ratio in over.items()}, text, {"times_published": over}

    return _rule(study, BIASED, judge)


def costs_without_bias(study: Study) -> Outcome:
    """Every deviation in ``SLOWED`` comes as close as the published method, within ``FACTOR``, and is worse at getting
    there: unstable at smaller upper steps, slower to the target, or further off at the steps at which both are
    stable."""

    def judge(table: pd.DataFrame) -> tuple[dict[str, bool], str, dict[str, object]]:
        steps = by_step(study)
        steps = steps[steps["stable"] == 1].pivot(index="upper_step", columns="method", values="final")
        steps = steps.clip(lower=ROUNDING)
        found, said, numbers = {}, [], {}
        for name in SLOWED:
            mine, own = table.loc[name], table.loc[PUBLISHED[name]]
            times = float(mine[TIMES])
            close = times <= FACTOR
            stable = _ratio(mine["largest stable step"], own["largest stable step"])
            slower = _ratio(mine["fewest iterations to target"], own["fewest iterations to target"])
            both = steps[[name, PUBLISHED[name]]].dropna()
            off = float(np.exp(np.log(both[name] / both[PUBLISHED[name]]).mean())) if len(both) else np.nan
            worse = [
                what
                for what, is_so in (
                    (f"stable up to {stable:.2f} times the step", stable < 1 - SAME),
                    (f"{slower:.3g} times the iterations", slower > 1 + SAME),
                    (f"‖∇φ‖ {off:.3g} times as large at equal steps", off > 1 + SAME),
                )
                if is_so
            ]
            found[name] = close and bool(worse)
            said.append(f"{name} {times:.2f} times ({', '.join(worse) or 'no worse'})")
            numbers[name] = {"smallest": times, "stable": stable, "iterations": slower, "at_equal_steps": off}
        finite = {name: {k: v if np.isfinite(v) else None for k, v in row.items()} for name, row in numbers.items()}
        text = "smallest ‖∇φ‖ over the upper steps as a multiple of the published method's, rounding aside, and costs: "
        return found, f"{text}{'; '.join(said)}", {"over_published": finite}

    return _rule(study, SLOWED, judge)


def _level(norm: float) -> str:
    return f"{norm:.2g}" if norm >= ROUNDING else "rounding"


def _ratio(mine: float, own: float) -> float:
    """nan where the published method never gets there itself."""
    return float(mine / own) if np.isfinite(own) else np.nan


Judge = Callable[[pd.DataFrame], tuple[dict[str, bool], str, dict[str, object]]]


def _rule(study: Study, variants: Sequence[str], judge: Judge) -> Outcome:
    """Reproduced if all of some variants do what ``judge`` looks for; not testable where one is stable at no step."""
    table = summary(by_step(study)).set_index("method")
    wanted = sorted({*variants, *(PUBLISHED[name] for name in variants)})
    if absent := [name for name in wanted if name not in table.index]:
        return Outcome(NOT_RUN, f"discrepancies holds no records of {', '.join(absent)}")
    if lost := [name for name in wanted if not np.isfinite(table.loc[name, SMALLEST])]:
        return Outcome(NOT_TESTABLE, f"no upper step at which all runs are stable: {', '.join(lost)}")
    found, text, numbers = judge(table)
    failing = [name for name, so in found.items() if not so]
    if failing:
        text += f"; not so: {', '.join(failing)}"
    return Outcome(NOT_REPRODUCED if failing else REPRODUCED, text, numbers)
