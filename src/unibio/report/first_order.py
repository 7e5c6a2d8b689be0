"""The report's section on the first-order family: fitted rates, and what to keep in mind."""

from __future__ import annotations

import math
from collections.abc import Iterable

from unibio.analysis import corrupted_labels as labels
from unibio.analysis import first_order_convexity as convexity
from unibio.analysis import global_optimality as optimality
from unibio.analysis import lower_bound, nasty, penalty_rates
from unibio.analysis import penalty_accuracy as accuracy
from unibio.analysis.study import MissingRecordsError, Study
from unibio.document import Block, Heading, Table
from unibio.errors import InputError
from unibio.figures import corrupted_labels as label_figures
from unibio.figures import first_order_convexity, global_optimality, penalty_accuracy
from unibio.figures import lower_bound as bound_figures
from unibio.figures import nasty as nasty_figures
from unibio.figures import penalty_rates as rate_figures
from unibio.report.section import Section


def blocks(study: Study) -> Iterable[Block]:
    """A table for every experiment that has records."""
    yield from _rates(study)
    yield from _example3(study)
    yield from _labels(study)
    yield from _optimality(study)


def _rates(study: Study) -> Iterable[Block]:
    try:
        found = penalty_rates.rates(study)
    except MissingRecordsError:
        return
    rows: list[list[str | float]] = []
    for one in found:
        row: list[str | float] = [penalty_rates.NAMES[one.method], penalty_rates.CASES[one.case], f"{one.bound:.3f}"]
        try:
            slopes = one.slopes()
        except InputError:  # diverged, or too short
            slopes = None
        if slopes is None or slopes.empty:
            rows.append([*row, "none", "none"])
            continue
        last = slopes[slopes["kind"] == "to_end"].iloc[-1]
        interval = f"{last['slope']:.3f} [{last['interval_low']:.3f}, {last['interval_high']:.3f}]"
        rows.append([*row, interval, f"{slopes['slope'].min():.3f} to {slopes['slope'].max():.3f}"])
    yield Heading(3, "Rates of the penalty methods")
    yield Table(["method", "noise", "slides' exponent", "slope of the last fit range", "slopes over all ranges"], rows)


def _example3(study: Study) -> Iterable[Block]:
    if not study.records(convexity.EXAMPLE3):
        return
    table = convexity.example3(study)
    yield Heading(3, "Example 3 without second derivatives")
    yield Table(
        ["p", "method", "calls, any step", "calls, small steps", "runs that settle", "of those with small steps"],
        [
            [
                f"{row['p']}",
                convexity.NAMES[row["method"]],
                *(_calls(row[column]) for column in ("calls", "calls_small")),
                *(f"{row[column]:.0%}" for column in ("share", "share_small")),
            ]
            for _, row in table.iterrows()
        ],
    )


def _labels(study: Study) -> Iterable[Block]:
    if not study.records(labels.EXPERIMENT):
        return
    yield Heading(3, "Corrupted labels")
    yield Table(
        ["wrong labels", "batch", "method", "step", "outer loss", "test accuracy", "AUC", "‖g_W‖", "calls", "seconds"],
        [
            [
                *(f"{row['rate']:.0%}", f"{row['batch']}", row["method"], f"{row['step']:.3g}"),
                *(f"{row[name]:.3f}" for name in ("upper_loss", "test_accuracy", "cleaning_auc")),
                f"{row['lower_gradient_norm']:.2g}",
                *(f"{row['oracle_calls']:.0f}", f"{row['seconds']:.2g}"),
            ]
            for _, row in labels.summary(study).iterrows()
        ],
    )


def _optimality(study: Study) -> Iterable[Block]:
    if not study.records(optimality.EXPERIMENT):
        return
    yield Heading(3, "Global optimality")
    yield Table(
        ["problem", "method", "starts that reach the optimum", "f − f* at the end", "least", "largest", "g − g*"],
        [
            [optimality.PROBLEMS[row["problem"]], row["method"], f"{row['reached']:.0%} of {row['starts']}"]
            + [f"{row[name]:.2g}" for name in ("upper_gap", "upper_gap_min", "upper_gap_max", "lower_gap")]
            for _, row in optimality.summary(study).iterrows()
        ],
    )


def _calls(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "never"


_FIGURES = (
    penalty_accuracy,
    nasty_figures,
    rate_figures,
    bound_figures,
    label_figures,
    first_order_convexity,
    global_optimality,
)

SECTION = Section(
    title="The first-order family",
    experiments=(
        accuracy.EXPERIMENT,
        nasty.EXPERIMENT,
        penalty_rates.SCHEDULED,
        penalty_rates.FIXED,
        lower_bound.EXPERIMENT,
        labels.EXPERIMENT,
        convexity.EXAMPLE3,
        convexity.REGRESSION,
        optimality.EXPERIMENT,
    ),
    figures=tuple(drawing.name for module in _FIGURES for drawing in module.drawings()),
    blocks=blocks,
    caveats=(
        "The slides' exponents are upper bounds over a class of problems, up to constants. A quadratic is an easy "
        "member of that class: a slope below the exponent is consistent with the bound and does not improve it.",
        "Example 3 is one-dimensional: a large enough step jumps over the singular point, which no theory covers. "
        "Small steps are those where the parameters imply at most 0.1 along ∇φ (upper step over penalty for methods "
        "whose direction is the penalty's gradient over the penalty) and where no jump was seen.",
        "With corrupted labels the outer loss is that of the W a method holds: BOME and other penalty methods move W "
        "itself towards the validation data, and a large ‖g_W‖ at the end says how far from a lower-level solution.",
        "On ℓ_p-regression and with corrupted labels the steps are chosen on the seeds that are reported, two of them: "
        "a pilot study.",
    ),
)
