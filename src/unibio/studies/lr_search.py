"""The learning-rate search: a criterion for every pair of steps, and where the paper's pair lies.

Criterion: the hypergradient norm averaged over the iterates 0 … T−1, median over the seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from unibio.store.records import Record
from unibio.store.thinning import Kept
from unibio.studies.common import soundness, style, widening
from unibio.studies.common.claim import Claim
from unibio.studies.common.comparisons import every
from unibio.studies.common.curves import Array, final
from unibio.studies.common.document import Block, Heading, Paragraph, frame_table
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence, exponent, paper_step
from unibio.studies.common.kinds import Kind
from unibio.studies.common.search import TIE, Cell, Search, interpolated_median, search
from unibio.studies.common.soundness import MOST, sound
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import EXPONENTS, NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.studies.common.widening import Axis, Touched
from unibio.studies.common.words import listed

EXPERIMENT = "lr_search"
AXES = ("upper_step", "lower_step")

#: The paper's step is looked up at the nearest grid point, if that is within this factor.
NEAREST = 1.5
#: The paper's lower-level step on Example 3, for every p.
PAPER_LOWER_STEP = 1.0


@dataclass(frozen=True, eq=False)
class StepSearch:
    """One exponent's search.

    Attributes:
        exponent: p.
        search: over (a, b) pairs of upper and lower steps.
        best: the pair of the least criterion.
        tied: (a, b) within ``TIE`` of it.
        axes: what the tied region does along both axes.
        paper: the paper's (upper step, lower step), None where the record does not say.
    """

    exponent: int
    search: Search
    best: Cell
    tied: NDArray[np.bool_]
    axes: dict[str, Axis]
    paper: tuple[float, float] | None

    @property
    def upper(self) -> Array:
        """(a,) upper steps, ascending."""
        return self.search.steps["upper_step"]

    @property
    def lower(self) -> Array:
        """(b,) lower steps, ascending."""
        return self.search.steps["lower_step"]

    @property
    def criterion(self) -> Array:
        """(a, b)."""
        return self.search.criterion

    def paper_cell(self) -> tuple[int, int] | None:
        """Indices of the grid point nearest to the paper's steps; None where none is within a factor ``NEAREST``."""
        if self.paper is None:
            return None
        found = []
        for grid, at in zip((self.upper, self.lower), self.paper, strict=True):
            away = np.abs(np.log(grid / at))
            if away.min() > math.log(NEAREST):
                return None
            found.append(int(away.argmin()))
        return found[0], found[1]

    def row(self) -> dict[str, Any]:
        """The search in one row of a table."""
        best = float(self.criterion[self.best])
        row: dict[str, Any] = {"p": self.exponent}
        row |= {f"best_{name}": step for name, step in self.search.at(self.best).items()} | {"best_criterion": best}
        for name, axis in self.axes.items():
            row |= {f"tied_{name}_low": axis.low, f"tied_{name}_high": axis.high, name: axis.describe()}
        if self.paper is not None:
            cell = self.paper_cell()
            nearest = math.nan if cell is None else float(self.criterion[cell])
            row |= {"paper_upper_step": self.paper[0], "paper_lower_step": self.paper[1]}
            row |= {"paper_nearest_upper_step": math.nan if cell is None else float(self.upper[cell[0]])}
            row |= {"paper_criterion": nearest, "paper_over_best": nearest / best}
            row |= {"paper_tied": cell is not None and bool(self.tied[cell])}
        return row

    def table(self) -> pd.DataFrame:
        """Every pair: p, upper_step, lower_step, criterion, tied."""
        a, b = np.meshgrid(self.upper, self.lower, indexing="ij")
        columns = {"upper_step": a, "lower_step": b, "criterion": self.criterion, "tied": self.tied}
        return pd.DataFrame({"p": self.exponent, **{name: column.ravel() for name, column in columns.items()}})


def searches(evidence: Evidence) -> list[StepSearch]:
    """Every exponent's search; not to be changed.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: as :func:`search_of`.
    """
    return evidence.once(_searches)


def _searches(evidence: Evidence) -> list[StepSearch]:
    return [search_of(record) for record in evidence.require(EXPERIMENT)]


def search_of(record: Record, metric: str = "hypergradient_norm_mean") -> StepSearch:
    """Evaluate a record with axes ``upper_step`` and ``lower_step``.

    Raises:
        InputError: the record does not hold both axes as a full grid, or every pair diverged.
    """
    found = search(record.name, record.runs, final(record, metric), AXES, middle=interpolated_median)
    axes, best, eta = found.regions(), found.best(), paper_step(record)
    assert best is not None  # or there were no regions
    return StepSearch(
        exponent=exponent(record),
        search=found,
        best=best,
        tied=found.criterion <= (1 + TIE) * found.criterion[best],
        axes=axes,
        paper=None if eta is None else (eta, PAPER_LOWER_STEP),
    )


def touched(record: Record) -> list[Touched]:
    """The ranges of one search that were too narrow, by seed.

    Raises:
        InputError: as :func:`search_of`.
    """
    found = search_of(record).search
    return widening.touched(record, found.steps, {name: axis.touched for name, axis in found.edges().items()})


# Rules ---------------------------------------------------------------------------------------------------------------


def paper_steps_tied(evidence: Evidence) -> Outcome:
    """Whether the paper's learning rates are within 5% of the best in the search.

    Not testable where the search tells no upper steps apart, where the best may lie outside, or where the runs at the
    paper's steps do not descend with y in tow.
    """
    found = searches(evidence)
    rows = pd.DataFrame([one.row() for one in found]).set_index("p")
    if "paper_tied" not in rows or rows["paper_over_best"].isna().any():
        return Outcome(NOT_RUN, "the searched grid holds no point near the paper's steps; widen it")
    edges = [f"p = {p}, {axis}" for axis in AXES for p in rows.index if "edge" in rows[axis][p]]
    flat = [one.exponent for one in found if (one.axes["upper_step"].kind, one.axes["upper_step"].where) == _ALL_TIED]
    ratio = rows["paper_over_best"].astype(float).to_dict()
    text = "criterion at the paper's steps over the best: " + ", ".join(f"{v:.2f} (p = {p})" for p, v in ratio.items())
    for level in ("upper", "lower"):
        text += f"; best {level} steps {', '.join(f'{v:.3g}' for v in rows[f'best_{level}_step'])}"
    if edges:
        text += f"; the tied region touches an edge ({'; '.join(edges)}): the best may lie outside, widen the range"
    numbers = {"paper_over_best": ratio, "best_upper_step": rows["best_upper_step"].to_dict(), "edges": edges}
    if not every(rows["paper_tied"]):
        return Outcome(NOT_REPRODUCED, text, numbers)
    if flat:
        return Outcome(NOT_TESTABLE, f"{text}; all upper steps are tied at p = {listed(flat)}", numbers)
    if edges:
        return Outcome(NOT_TESTABLE, text, numbers)
    if broken := _unsound_at_paper(evidence):
        return Outcome(NOT_TESTABLE, f"{text}; {broken}", numbers)
    return Outcome(REPRODUCED, text, numbers)


#: Kind and ends of an axis along which every value is tied with the best.
_ALL_TIED = ("flat", "both")


def _unsound_at_paper(evidence: Evidence) -> str:
    """Of which exponents the runs at the point nearest to the paper's steps are mostly not sound, as a clause."""
    bad = []
    for record, one in zip(evidence.require(EXPERIMENT), searches(evidence), strict=True):
        cell = one.paper_cell()
        if cell is None or sound(record)[one.search.runs(cell)].mean() < MOST:
            bad.append(one.exponent)
    return f"φ does not fall, or y does not follow y*(x), at the paper's steps for p = {listed(bad)}" if bad else ""


def lower_step_irrelevant(evidence: Evidence) -> Outcome:
    """Whether the criterion changes by less than 5% along the lower step, at the paper's upper step, for every p.

    A lower step of which nothing depends because the lower level is not solved at all is no evidence: not testable.
    """
    at_paper, anywhere = {}, {}
    for found in searches(evidence):
        spread = found.criterion.max(axis=1) / found.criterion.min(axis=1) - 1
        cell = found.paper_cell()
        if cell is None:
            return Outcome(NOT_RUN, f"the searched grid of p = {found.exponent} holds no point near the paper's steps")
        at_paper[found.exponent] = float(spread[cell[0]])
        anywhere[found.exponent] = [float(found.upper[int(spread.argmax())]), float(spread.max())]
    steps = found.lower
    worst = max(anywhere.values(), key=lambda pair: pair[1])
    text = (
        f"lower steps {steps[0]:g} … {steps[-1]:g} change the criterion by at most "
        + ", ".join(f"{v:.1%} (p = {p})" for p, v in at_paper.items())
        + f" at the paper's upper steps; over the whole grid by at most {worst[1]:.0%}, at upper step {worst[0]:.3g}"
    )
    numbers = {"at_paper_step": at_paper, "largest": anywhere}
    if not every(change <= TIE for change in at_paper.values()):
        return Outcome(NOT_REPRODUCED, text, numbers)
    if len(steps) < 2:
        return Outcome(NOT_TESTABLE, f"{text}; a single lower step tells nothing", numbers)
    if broken := _unsound_at_paper(evidence):
        return Outcome(NOT_TESTABLE, f"{text}; {broken}", numbers)
    return Outcome(REPRODUCED, text, numbers)


# Figure and section --------------------------------------------------------------------------------------------------

_SYMBOLS = {"upper_step": "η", "lower_step": "γ₁"}
_TIED: dict[str, Any] = {
    "marker": "o",
    "linestyle": "",
    "markersize": 3.5,
    "color": "white",
    "markeredgecolor": "black",
}
_BEST: dict[str, Any] = {"marker": "*", "linestyle": "", "markersize": 11, "color": "black", "markeredgecolor": "white"}
#: Black on white, to be seen on any colour.
_PAPER: dict[str, Any] = {"marker": "s", "linestyle": "", "markersize": 9, "fillstyle": "none", "color": "black"}
_PAPER |= {"markeredgewidth": 1.4, "path_effects": [Stroke(linewidth=3.4, foreground="white"), Normal()]}


def draw(evidence: Evidence) -> Drawn:
    """Colour is the hypergradient norm averaged over the run, median over the seeds; both steps on log axes."""
    found = searches(evidence)
    rows = (len(found) + 1) // 2
    figure, axes = style.panels(rows, min(2, len(found)), 2.6 * rows + 0.5, sharex=True, sharey=True)
    finite = np.concatenate([one.criterion[np.isfinite(one.criterion)] for one in found])
    low, high = float(finite.min()), max(float(finite.max()), 1.01 * float(finite.min()))
    norm = LogNorm(low, high)
    for panel, one in zip(axes.flat, found, strict=False):
        image = panel.pcolormesh(
            _edges(one.upper), _edges(one.lower), one.criterion.T, norm=norm, cmap="cividis", rasterized=True
        )
        tied = np.argwhere(one.tied)
        panel.plot(one.upper[tied[:, 0]], one.lower[tied[:, 1]], **_TIED)
        panel.plot(*one.search.at(one.best).values(), **_BEST)
        if one.paper is not None:
            panel.plot(*one.paper, **_PAPER)
        panel.set(xscale="log", yscale="log")
        panel.grid(False)
        words = " · ".join(f"{symbol} {one.axes[name].describe().split(':')[0]}" for name, symbol in _SYMBOLS.items())
        panel.set_title(f"p = {one.exponent}: {words}", loc="left", fontsize=9)
    for panel in axes[-1]:
        panel.set_xlabel("upper-level step η")
    for panel in axes[:, 0]:
        panel.set_ylabel("lower-level step γ₁")
    bar = figure.colorbar(image, ax=axes, label="mean of |∇φ| over the run, median over seeds", shrink=0.9)
    decades = [10.0**k for k in range(math.floor(math.log10(low)), math.ceil(math.log10(high)))]
    ticks = [m * v for v in decades for m in ((1, 2, 5) if high > 3 * low else range(1, 10)) if low <= m * v <= high]
    bar.set_ticks(ticks, labels=[f"{v:g}" for v in ticks])
    bar.minorticks_off()
    handles = [style.handle("best", **_BEST), style.handle(f"within {TIE:.0%} of it", **_TIED)]
    style.legend_above(figure, [*handles, style.handle("the paper's", **_PAPER)], 3)
    tables = {"lr_search": pd.concat([one.table() for one in found], ignore_index=True)}
    return Drawn(figure, tables | {"lr_search_summary": pd.DataFrame([one.row() for one in found])})


def _edges(centres: Array) -> Array:
    """Cell edges half-way between log-spaced centres."""
    if len(centres) == 1:
        return centres[0] * np.array([0.7, 1.4])
    middle = np.sqrt(centres[1:] * centres[:-1])
    return np.concatenate([[centres[0] ** 2 / middle[0]], middle, [centres[-1] ** 2 / middle[-1]]])


def _blocks(evidence: Evidence) -> Iterable[Block]:
    yield Heading(3, "Learning-rate search")
    yield Paragraph(
        f"Criterion: hypergradient norm averaged over the run, median over the seeds; within {TIE:.0%} of the best "
        "is tied. An axis whose tied region is at an edge was not searched far enough for that best to mean much."
    )
    yield frame_table(pd.DataFrame([one.row() for one in searches(evidence)]).set_index("p").T)


def _at_the_papers_lower_step(evidence: Evidence, experiment: str, record: Record) -> NDArray[np.bool_]:
    """(runs,) the tables look at how the others end."""
    return np.isclose(record.runs["lower_step"].to_numpy(dtype=float), PAPER_LOWER_STEP)


STUDY = Study(
    experiments=(EXPERIMENT,),
    shown=_at_the_papers_lower_step,
    kept=Kept(metrics=("hypergradient_norm", "hypergradient_norm_mean"), ends=soundness.LATE, finals=soundness.FINAL),
    drawings=(
        Drawing(
            "lr_search",
            "Averaged hypergradient norm for every pair of steps, the pairs tied with the best, and the paper's point.",
            draw,
            title="Which steps a grid search chooses, and where the paper's lie",
        ),
    ),
    claims=(
        Claim(
            "paper-steps-tied",
            "The paper's learning rates for Example 3 are the best of a grid search, or tied with it within 5%.",
            Kind.PAPER,
            "Section 6, the best learning rates of the synthetic experiment; the range that was searched is lost to us",
            paper_steps_tied,
            exponents=EXPONENTS,
        ),
        Claim(
            "lower-step-irrelevant",
            "In one dimension the lower-level step does not matter at the paper's upper steps.",
            Kind.QUESTION,
            "a normalised step in one dimension sees only a sign",
            lower_step_irrelevant,
            exponents=EXPONENTS,
        ),
    ),
    blocks=_blocks,
    touched=touched,
)
