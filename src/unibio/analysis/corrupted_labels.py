"""Corrupted labels: every method at its best step, by the outer loss at the end of one budget of oracle calls.

The outer loss is that of the W a method holds. A method can lower it by training W on the validation data, away from
the lower level's solution; one whose ‖g_W‖ ends above ``SOLVED`` times the start's is shown but not judged. The step is
chosen by the median over the same seeds that are reported, which flatters all methods alike: a pilot study.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from unibio.analysis.claims import NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.analysis.curves import Array, final
from unibio.analysis.study import Study
from unibio.records import Record

EXPERIMENT = "corrupted_labels"
WITHOUT = "lower_only"
FIRST_ORDER = {"f2sa": "F²SA", "f3sa": "F³SA", "f2ba": "F²BA", "bome": "BOME"}
SECOND_ORDER = {"stocbio": "StocBiO", "soba": "SOBA", "unibio": "UniBiO"}
NAMES = {WITHOUT: "without bilevel"} | FIRST_ORDER | SECOND_ORDER
#: ‖g_W‖ at the end over the one at the start, above which the lower level was not solved.
SOLVED = 0.8


@dataclass(frozen=True)
class Best:
    """One method at its best step.

    Attributes:
        method: key of ``NAMES``.
        rate, batch: corruption rate and batch size.
        step: the chosen upper step (lower step without bilevel).
        history: of the chosen runs.
        loss, accuracy: (seeds,) at the end; the loss is inf for a diverged run.
    """

    method: str
    rate: float
    batch: int
    step: float
    history: pd.DataFrame
    loss: Array
    accuracy: Array

    @property
    def setting(self) -> str:
        """For titles."""
        return f"{self.rate:.0%} wrong, batch {self.batch}"

    @property
    def solved(self) -> bool:
        """Whether W is a solution of the lower level more than the start was."""
        start = float(self.history.groupby("run")["lower_gradient_norm"].first().median())
        return self.middle("lower_gradient_norm") <= SOLVED * start

    def middle(self, column: str) -> float:
        """Median over the seeds of a column's last value."""
        return float(self.history.groupby("run")[column].last().median())


def best(study: Study) -> list[Best]:
    """Every method at every corruption rate and batch size."""
    order = list(NAMES)
    found = [_best(record) for record in study.require(EXPERIMENT)]
    return sorted(found, key=lambda one: (one.rate, one.batch, order.index(one.method)))


def _best(record: Record) -> Best:
    algorithm = record.config["algorithm"]
    runs = record.runs.reset_index(drop=True)
    axis = "upper_step" if "upper_step" in runs else "lower_step"
    loss = final(record, "upper_loss")
    medians = pd.Series(loss).groupby(runs[axis]).quantile(0.5, interpolation="higher")
    step = float(medians.idxmin())
    chosen = (runs[axis] == step).to_numpy()
    history = record.history[chosen[record.history["run"].to_numpy()]]
    rate = float(record.config["problem"]["corruption_rate"])
    accuracy = final(record, "test_accuracy")[chosen]
    return Best(algorithm["name"], rate, int(algorithm["batch_size"]), step, history, loss[chosen], accuracy)


def summary(study: Study) -> pd.DataFrame:
    """rate, batch, method, step, and medians at the end: loss (with range), accuracy, AUC, calls, seconds."""
    rows = []
    for one in best(study):
        row = {"rate": one.rate, "batch": one.batch, "method": NAMES[one.method], "step": one.step}
        row |= {"upper_loss": float(np.median(one.loss)), "min": one.loss.min(), "max": one.loss.max()}
        row |= {name: one.middle(name) for name in _ENDS}
        rows.append(row)
    return pd.DataFrame(rows)


_ENDS = ("test_accuracy", "cleaning_auc", "lower_gradient_norm", "oracle_calls", "seconds")


def _left_out(found: list[Best]) -> str:
    unsolved = [f"{NAMES[one.method]} ({one.setting})" for one in found if not one.solved]
    return f"; not judged, as the lower level is left unsolved: {', '.join(unsolved)}" if unsolved else ""


def curve(one: Best, column: str) -> pd.DataFrame:
    """oracle_calls, seconds and the median over the seeds of a column, by logged iteration."""
    return one.history.groupby("iteration")[["oracle_calls", "seconds", column]].median().reset_index(drop=True)


def bilevel_helps(study: Study) -> Outcome:
    """Every bilevel method's median outer loss ends below that of training without, at every rate and batch size."""
    failing, numbers, settings = [], {}, set()
    for one in (found := best(study)):
        own = [other for other in found if other.setting == one.setting and other.method == WITHOUT]
        if one.method == WITHOUT or not own or not one.solved:
            continue
        settings.add(one.setting)
        numbers[f"{NAMES[one.method]}, {one.setting}"] = float(np.median(one.loss) - np.median(own[0].loss))
        if not np.median(one.loss) < np.median(own[0].loss):
            failing.append(f"{NAMES[one.method]} ({one.setting})")
    if not numbers:
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs a bilevel method and training without")
    text = (
        f"{len(numbers) - len(failing)} of {len(numbers)} methods and settings end below training without, by up to "
        f"{-min(numbers.values()):.3f}"
    )
    text += f"; not {', '.join(failing)}" if failing else ""
    text += _left_out(found)
    return Outcome(NOT_REPRODUCED if failing else REPRODUCED, text, {"difference": numbers})


def first_order_keeps_up(study: Study) -> Outcome:
    """The best first-order method ends no higher than the best with the Hessian, at every rate and batch size.

    Higher means that all its seeds end higher than all of the other's.
    """
    said, behind, numbers, seeds = [], [], {}, []
    found = best(study)
    for setting in dict.fromkeys(one.setting for one in found):
        here = [one for one in found if one.setting == setting and np.isfinite(one.loss).all() and one.solved]
        kinds = [[one for one in here if one.method in kind] for kind in (FIRST_ORDER, SECOND_ORDER)]
        if not all(kinds):
            return Outcome(NOT_RUN, f"{EXPERIMENT} needs methods of both kinds that converge, with {setting}")
        first, second = (min(kind, key=lambda one: float(np.median(one.loss))) for kind in kinds)
        seeds += [len(first.loss), len(second.loss)]
        if first.loss.min() > second.loss.max():
            behind.append(setting)
        numbers[setting] = {NAMES[one.method]: float(np.median(one.loss)) for one in here}
        said.append(
            f"{setting}: {np.median(first.loss):.3f} ({NAMES[first.method]}) against {np.median(second.loss):.3f} "
            f"({NAMES[second.method]})"
        )
    text = f"lowest median outer loss: {'; '.join(said)}{_left_out(found)}"
    if min(seeds) < 2:
        return Outcome(NOT_TESTABLE, f"{text}; one seed tells nothing apart", numbers)
    return Outcome(NOT_REPRODUCED if behind else REPRODUCED, text, numbers)
