"""The report's section on the paper's synthetic study: Figures 1 and 5, their controls and tables."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from unibio.analysis import claims as rules
from unibio.analysis.comparisons import costs, first_hits
from unibio.analysis.lr_search import TIE, search
from unibio.analysis.study import SYNTHETIC, Study
from unibio.document import Block, Heading, Paragraph, Table, frame_table, shown
from unibio.errors import InputError
from unibio.figures import fig5
from unibio.report.section import Section


def blocks(study: Study) -> Iterable[Block]:
    """A table for every experiment that has one and was run."""
    if study.records("fig1_equal"):
        hits = first_hits(study.records("fig1_equal"))
        if not hits.empty:
            yield Heading(3, "First hits at equal steps")
            yield Paragraph("Median iterations (oracle calls) to |∇φ| below the target on Example 3, 1 dimension.")
            yield _hits_table(hits)
    if study.records("runtime"):
        yield Heading(3, "Running time and inner iterations")
        yield frame_table(costs(study.records("runtime")).drop(columns="dimension"))
    if study.records("lr_search"):
        yield Heading(3, "Learning-rate search")
        yield Paragraph(
            f"Criterion: hypergradient norm averaged over the run, median over the seeds; within {TIE:.0%} of the best "
            "is tied. An axis whose tied region is at an edge was not searched far enough for that best to mean much."
        )
        try:
            rows = [search(record).row() for record in study.records("lr_search")]
            yield frame_table(pd.DataFrame(rows).set_index("p").T)
        except InputError as error:
            yield Paragraph(str(error))
    if study.records("fig5"):
        table = fig5.fits(study)
        table = table[table["noise"] == table["noise"].max()]
        yield Heading(3, "Slopes of Figure 5 by fit range")
        yield Paragraph(
            "Largest noise level; slope ± standard error [95% bootstrap interval over seeds]. Residuals of a running "
            "average are correlated, so that the standard error is too small."
        )
        yield _slopes_table(table)


def _hits_table(hits: pd.DataFrame) -> Table:
    exponents = sorted(hits["p"].unique())
    rows = []
    for (noise, step), group in hits.groupby(["noise", "upper_step"], sort=False):
        by_p = group.set_index("p")
        cells = [f"{shown(by_p['iterations'][p])} ({shown(by_p['oracle_calls'][p])})" for p in exponents]
        rows.append([f"{noise:g}", f"{step:g}", *cells])
    return Table(["noise", "η", *(f"p = {p}" for p in exponents)], rows)


def _slopes_table(table: pd.DataFrame) -> Table:
    exponents = sorted(table["p"].unique())
    kinds = [("the paper's", table[table["paper_step"]])]
    kinds += [(f"{step:g}", group) for step, group in table.groupby("upper_step", sort=False)]
    rows = []
    for label, chosen in kinds:
        for (low, high), group in chosen.groupby(["low", "high"], sort=False):
            by_p = {row.p: row for row in group.itertuples()}
            cells = [
                f"{r.slope:.3f} ± {r.error:.3f} [{r.interval_low:.3f}, {r.interval_high:.3f}]".replace("-", "−")
                if r
                else "–"
                for r in (by_p.get(p) for p in exponents)
            ]
            rows.append([label, f"{low:g} … {high:g}", *cells])
    bounds = [f"{table[table['p'] == p]['bound'].iloc[0]:.3f}" for p in exponents]
    return Table(["η", "t", *(f"p = {p}" for p in exponents)], [*rows, ["bound", "", *bounds]])


_CAVEATS = (
    "φ is the same function for every p on Example 3, and a normalised step in one dimension sees only the "
    "sign of the momentum: at equal η the curves must nearly coincide. What separates the published curves is "
    "that each p has its own η.",
    "In one dimension every iterate lies on the lattice 1 + kη. How small |∇φ| gets depends on where the "
    "lattice falls beside the minimiser −π/2; the last digits of the learning-rate search are of that kind.",
    "Oracle calls at equal η differ by the length of an Epoch-SGD call, 75, 59, 70, 77 steps for p = 2, 4, 6, "
    "8, which is not monotone in p.",
    "The noise levels are variances in the paper's text and standard deviations in the released script; "
    "Algorithm 2 is run with variances, the released variant with standard deviations.",
    "Q = 3 and c = 1 on Example 3 and the ranges of the learning-rate search are ours: the paper's did not "
    "survive in the text we have. The coordinate-wise problem is ours altogether.",
    "Figure 5 keeps η fixed. Its averages first rise (the start is not the steepest point), then fall almost "
    "like 1/t, then level off at a floor proportional to η: not a power law, so that the slope is a choice of "
    "fit range. The bound is about a schedule that depends on T.",
    "Under the theorem's schedule the descent from x = 1 to the minimiser takes (1 + π/2)/η of the T "
    "iterations, a share proportional to 1/(ηT) = T^(−1/4) at p = 2 whatever the noise: the slope checks the "
    "schedule more than the estimator.",
    "Seeds differ little before the iterates circle the minimiser; intervals over seeds are therefore narrow, "
    "much narrower than what the fit range does.",
    f"Thresholds of the verdicts are constants with reasons in `unibio/analysis/claims.py`: converged is below "
    f"{rules.SMALL_GRADIENT:g} per coordinate over the last {rules.TAIL:.0%} of a run for "
    f"{rules.MOST_SEEDS:.0%} of the seeds; medians within {rules.SAME:.0%} are the same.",
)

SECTION = Section(
    title="The synthetic study",
    experiments=SYNTHETIC,
    figures=(
        "fig1",
        "fig1_released",
        "fig1_released_comparison",
        "fig1_equal",
        "fig1_equal_noise1",
        "fig1_coordinatewise",
        "fig1_coordinatewise_equal",
        "fig1_coordinatewise_equal_noise1",
        "coordinatewise_sensitivity",
        "lr_search",
        "fig5",
        "fig5_ranges",
        "theorem_schedule",
        "runtime",
    ),
    blocks=blocks,
    caveats=_CAVEATS,
)
