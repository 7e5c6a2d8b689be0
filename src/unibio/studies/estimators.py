"""Estimators of the hypergradient by the error of their v, ∇²_yy g · v = f_y, against Hessian–vector products. Ours.

Both Neumann sums have one step for all points of a problem, as a method would: half of the points choose it, for every
number of products the best, and the others judge it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.store.records import Record
from unibio.studies.common import style
from unibio.studies.common.claim import Claim
from unibio.studies.common.comparisons import every
from unibio.studies.common.curves import Array
from unibio.studies.common.document import Block, Heading, Paragraph, frame_table
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence, column, exponent
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, Outcome

EXPERIMENT, NETWORK = "estimators", "estimators_network"
ESTIMATORS = {
    "generalised": "Neumann sum with D",
    "classical": "Neumann sum",
    "cg": "conjugate gradient",
    "cg_scaled": "conjugate gradient with D",
    "pcg": "conjugate gradient with the diagonal",
}
PROBLEMS = {
    "coordinatewise": "Example 3",
    "hoelder": "Hölder problem",
    "lp_regression": "ℓ_p-regression",
    "nli_cleaning": "network",
}
#: The Hessian is D on the first, and has nothing to do with it on the second.
VANISHING, REGULAR = ("coordinatewise", "hoelder"), ("lp_regression",)
#: D is constant at p = 2.
EXPONENTS = (2, 4, 6, 8)
#: The accuracy for which products are counted: the median over points of ‖v̂ − v‖/‖v‖.
ACCURATE = 0.1
#: Where it is not reached, one estimator is better than another by its error after all products.
BETTER = 2.0
#: By how much more products may be nearly the best: they are counted in powers of two.
NEARLY = 2.0
#: Standard errors of an interval of a mean over points.
SIGMAS = 3.0


@dataclass(frozen=True, order=True)
class Cell:
    """A problem, p, and whether its products are noisy: of minibatches, or of samples."""

    problem: str
    p: int
    noise: bool

    @property
    def label(self) -> str:
        """For sentences."""
        return f"{PROBLEMS[self.problem]}, p = {self.p}"


@dataclass(frozen=True, eq=False)
class Measured:
    """One estimator in one cell.

    Attributes:
        record: it comes from.
        steps: (k,) of the sum, ascending; (1,) for conjugate gradient.
        products: (n,) 1, 2, 4, …
        errors, excesses: (k, points, n) √E‖v̂ − v‖²/‖v‖ and ⟨E v̂ − v, v⟩/‖v‖²; inf where they are not finite.
        convex: the share of points at which the Hessian is positive definite.
    """

    record: Record
    steps: Array
    products: Array
    errors: Array
    excesses: Array
    convex: float

    @property
    def choosing(self) -> int:
        """How many of the points choose the step; the others judge, and the one does where there is one."""
        return max(1, self.errors.shape[1] // 2)

    @property
    def split(self) -> bool:
        """Whether other points judge than those that choose."""
        return self.choosing < self.errors.shape[1]

    @property
    def chosen(self) -> Array:
        """(n,) the place of the step that is best for so many products, by the choosing points."""
        return _median(self.errors[:, : self.choosing]).argmin(axis=0)

    @property
    def judged(self) -> Array:
        """(n,) the judging points' median error at the chosen steps."""
        judging = self.errors[:, self.choosing if self.split else 0 :]
        return np.asarray(_median(judging)[self.chosen, np.arange(len(self.products))])

    @property
    def needed(self) -> float:
        """Products from which on the judged error is at most ``ACCURATE``; inf for never."""
        above = np.flatnonzero(~(self.judged <= ACCURATE))
        after = 0 if len(above) == 0 else int(above[-1]) + 1
        return float(self.products[after]) if after < len(self.products) else math.inf

    def excess(self, step: int) -> tuple[float, float]:
        """The mean excess over all points after most products at a step, by its place, and its standard error."""
        values = self.excesses[step, :, -1]
        if not np.isfinite(values).all() or len(values) < 2:
            return math.nan, math.nan
        return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def _median(errors: Array) -> Array:
    """Over the points, the larger of two middle ones: (k, n)."""
    return np.asarray(np.quantile(errors, 0.5, axis=1, method="higher"))


def measured(evidence: Evidence) -> dict[Cell, dict[str, Measured]]:
    """{cell: {estimator: what was measured}}; not to be changed.

    Raises:
        MissingRecordsError: the main experiment was not run.
        InputError: two records of one estimator in one cell.
    """
    return evidence.once(_measured)


def _measured(evidence: Evidence) -> dict[Cell, dict[str, Measured]]:
    found: dict[Cell, dict[str, Measured]] = {}
    for record in (*evidence.require(EXPERIMENT), *evidence.records(NETWORK)):
        noisy = float(record.config["problem"].get("hessian_noise", 0)) > 0
        # A finite sum's noise is its minibatch.
        sampled = noisy or record.config["algorithm"].get("batch_size") is not None
        cell = Cell(str(record.config["problem"]["name"]), exponent(record), sampled)
        name, by_name = str(record.config["algorithm"]["estimator"]), found.setdefault(cell, {})
        if name in by_name:
            raise InputError(f"{record.name} and {by_name[name].record.name} measure the same: {name} on {cell.label}")
        by_name[name] = _read(record)
    order = {name: i for i, name in enumerate(PROBLEMS)}
    return {cell: found[cell] for cell in sorted(found, key=lambda one: (order[one.problem], one.p, one.noise))}


def _read(record: Record) -> Measured:
    runs = record.runs.reset_index(drop=True)
    own = record.config["algorithm"].get("neumann_step", 1.0)
    at = runs["neumann_step"].to_numpy(dtype=float) if "neumann_step" in runs else np.full(len(runs), float(own))
    steps, place = np.unique(at, return_inverse=True)
    seeds, point = np.unique(runs["seed"].to_numpy(), return_inverse=True)
    products = sorted(int(name.removeprefix("error_")) for name in runs if name.startswith("error_"))
    failed = (runs["status"] != "completed").to_numpy()

    def grid(kind: str) -> Array:
        values = np.full((len(steps), len(seeds), len(products)), np.inf)
        for i, count in enumerate(products):
            one = column(record, f"{kind}_{count}", "runs").to_numpy(dtype=float)
            values[place, point, i] = np.where(failed | ~np.isfinite(one), np.inf, one)
        return values

    convex = float(column(record, "convex", "runs").mean())
    return Measured(record, steps, np.array(products, dtype=float), grid("error"), grid("excess"), convex)


def table(evidence: Evidence) -> pd.DataFrame:
    """problem, p, noise, estimator, products, error, excess, neumann_step, points that judge, share that is convex."""
    rows = []
    for cell, by_name in measured(evidence).items():
        for name, one in by_name.items():
            judging = one.errors.shape[1] - (one.choosing if one.split else 0)
            for i, (count, error, step) in enumerate(zip(one.products, one.judged, one.chosen, strict=True)):
                row = {"problem": cell.problem, "p": cell.p, "noise": cell.noise, "estimator": name}
                row |= {"products": int(count), "error": error, "excess": float(np.mean(one.excesses[step, :, i]))}
                rows.append(row | {"neumann_step": one.steps[step], "points": judging, "convex": one.convex})
    return pd.DataFrame(rows)


# Rules ---------------------------------------------------------------------------------------------------------------


def effect(first: Measured, second: Measured) -> int:
    """1 where the first needs fewer products than the second, −1 where more, 0 where as many.

    Where neither gets there, their errors after all products decide, if they differ by the factor ``BETTER``.
    """
    if math.isfinite(first.needed) or math.isfinite(second.needed):
        return int(np.sign(second.needed - first.needed)) if first.needed != second.needed else 0
    one, other = float(first.judged[-1]), float(second.judged[-1])
    return 1 if one * BETTER <= other and one < other else (-1 if other * BETTER <= one and other < one else 0)


def _exact(evidence: Evidence, problems: Iterable[str]) -> dict[Cell, dict[str, Measured]]:
    """The cells of some problems without noise at p > 2."""
    found = measured(evidence)
    return {cell: by for cell, by in found.items() if cell.problem in problems and not cell.noise and cell.p > 2}


def _why_not(cells: Mapping[Cell, Mapping[str, Measured]], names: Iterable[str]) -> str:
    """Why cells cannot be judged, as a clause; "" where they can."""
    if not cells:
        return "a kind of problem is missing"
    names = tuple(names)
    for cell, by_name in cells.items():
        if missing := [name for name in names if name not in by_name]:
            return f"no records of {missing[0]} on {cell.label}"
        if not all(by_name[name].split for name in names):
            return f"the point that chose a step judges it on {cell.label}"
        if not any(math.isfinite(by_name[name].judged[-1]) for name in names):
            return f"no error is finite on {cell.label}"
    return ""


def _said(cells: Mapping[Cell, Mapping[str, Measured]], names: Iterable[str]) -> str:
    names = tuple(names)
    each = "; ".join(
        f"{cell.label}: " + " and ".join(_count(by_name[name].needed) if name in by_name else "?" for name in names)
        for cell, by_name in cells.items()
    )
    return f"products for an error of {ACCURATE:.0%} by {' and '.join(ESTIMATORS[name] for name in names)}: {each}"


def _count(needed: float) -> str:
    return f"{needed:g}" if math.isfinite(needed) else "never"


def helps_and_hurts(first: str, second: str, evidence: Evidence) -> Outcome:
    """Whether the first, with D, needs fewer products in every cell where the Hessian vanishes, and more elsewhere."""
    vanishing, regular = _exact(evidence, VANISHING), _exact(evidence, REGULAR)
    both, names = {**vanishing, **regular}, (first, second)
    text = _said(both, names)
    for cells in (vanishing, regular):
        if why := _why_not(cells, names):
            return Outcome(NOT_TESTABLE, f"{text}; {why}")
    effects = {cell: effect(by_name[first], by_name[second]) for cell, by_name in both.items()}
    numbers = {"effect": {cell.label: value for cell, value in effects.items()}}
    yes = every(effects[cell] == 1 for cell in vanishing) and every(effects[cell] == -1 for cell in regular)
    return Outcome(REPRODUCED if yes else NOT_REPRODUCED, text, numbers)


def nearly_best(evidence: Evidence) -> Outcome:
    """Whether the diagonal's conjugate gradient needs at most ``NEARLY`` times the products of the best other."""
    found = measured(evidence)
    cells = {cell: by for cell, by in found.items() if cell.problem in (*VANISHING, *REGULAR) and not cell.noise}
    text = _said(cells, ESTIMATORS)
    why = _why_not(cells, ESTIMATORS)
    if not {cell.problem for cell in cells} >= {*VANISHING, *REGULAR}:
        why = "a problem is missing"
    if why:
        return Outcome(NOT_TESTABLE, f"{text}; {why}")
    ratios = {}
    for cell, by_name in cells.items():
        others = min(one.needed for name, one in by_name.items() if name != "pcg")
        if not math.isfinite(others) and not math.isfinite(by_name["pcg"].needed):
            return Outcome(NOT_TESTABLE, f"{text}; nothing gets there on {cell.label}")
        ratios[cell.label] = by_name["pcg"].needed / others if math.isfinite(others) else 0.0
    text += f"; at most {_count(max(ratios.values()))} times the least"
    return Outcome(REPRODUCED if max(ratios.values()) <= NEARLY else NOT_REPRODUCED, text, {"ratio": ratios})


def biased(evidence: Evidence) -> Outcome:
    """Whether the diagonal's conjugate gradient is too long by about the curvature's variance, and the sum is not.

    At the step of the sum that is chosen without noise: with noise a step trades bias for variance.
    """
    found = measured(evidence)
    cells = {cell: by for cell, by in found.items() if cell.problem in VANISHING and cell.noise}
    names = ("pcg", "generalised")
    if why := _why_not(cells, names):
        return Outcome(NOT_TESTABLE, why)
    said, numbers, yes = [], {}, []
    for cell, by_name in cells.items():
        exact = found.get(Cell(cell.problem, cell.p, False), {}).get("generalised")
        if exact is None:
            return Outcome(NOT_TESTABLE, f"no records without noise on {cell.label}")
        variance = float(by_name["pcg"].record.config["problem"]["hessian_noise"])
        solve, wide = by_name["pcg"].excess(0)
        step = int(np.abs(by_name["generalised"].steps - exact.steps[exact.chosen[-1]]).argmin())
        whole, error = by_name["generalised"].excess(step)
        if not all(map(math.isfinite, (solve, wide, whole, error))):
            return Outcome(NOT_TESTABLE, f"an excess is not finite on {cell.label}")
        if SIGMAS * max(wide, error) > variance / 2:
            return Outcome(NOT_TESTABLE, f"too few draws or points on {cell.label} to tell {variance:g} from 0")
        lengths = f"{solve:.3f} and {whole:.3f}".replace("-", "−")
        said.append(f"{lengths} ({cell.label}, Var ζ = {variance:g})")
        numbers[cell.label] = {"pcg": [solve, wide], "generalised": [whole, error], "variance": variance}
        yes.append(variance / 2 < solve < 2 * variance and abs(whole) <= SIGMAS * error)
    text = f"v is too long by, with the diagonal and with the sum: {'; '.join(said)}"
    return Outcome(REPRODUCED if every(yes) else NOT_REPRODUCED, text, numbers)


# Figure and section --------------------------------------------------------------------------------------------------

#: What figures show of errors.
FLOOR, CEILING = 1e-6, 3.0
SHOWN = 6


def draw(evidence: Evidence) -> Drawn:
    """A column a problem at one p, without noise above and with it below; a line an estimator."""
    found = measured(evidence)
    problems = [name for name in PROBLEMS if any(cell.problem == name for cell in found)]
    figure, axes = style.panels(2, len(problems), 4.8, sharex=True, sharey="row")
    for place, name in enumerate(problems):
        exponents = [cell.p for cell in found if cell.problem == name]
        p = SHOWN if SHOWN in exponents else max(exponents)
        for noise, panel in zip((False, True), axes[:, place], strict=True):
            _panel(panel, found.get(Cell(name, p, noise), {}))
        axes[0, place].set_title(f"{PROBLEMS[name]},\np = {p}", loc="left")
        axes[1, place].set_xlabel("products")
    for label, panel in zip(("exact", "noisy"), axes[:, 0], strict=True):
        panel.set_ylabel(f"error, {label} products")
    axes[0, 0].set_ylim(FLOOR / 2, CEILING)
    axes[1, 0].set_ylim(None, CEILING)
    largest = max(float(one.products[-1]) for by_name in found.values() for one in by_name.values())
    ticks = [count for count in (1, 4, 16, 64, 256) if count <= largest]
    axes[0, 0].set_xticks(ticks, [f"{count}" for count in ticks], minor=False)
    axes[0, 0].minorticks_off()
    handles = [style.handle(text, **_look(name)) for name, text in ESTIMATORS.items()]
    style.legend_above(figure, handles, 2)
    return Drawn(figure, {"estimators": table(evidence), "estimators_needed": needs(evidence)})


def _look(name: str) -> dict[str, object]:
    return style.of_place(list(ESTIMATORS).index(name), len(ESTIMATORS))


def _panel(panel: object, by_name: Mapping[str, Measured]) -> None:
    axes: style.Axes = panel  # type: ignore[assignment]
    axes.set(xscale="log", yscale="log")
    for name, one in by_name.items():
        shown = np.where(one.judged > CEILING, np.nan, np.maximum(one.judged, FLOOR))
        axes.plot(one.products, shown, **_look(name))  # type: ignore[arg-type]


def needs(evidence: Evidence) -> pd.DataFrame:
    """problem, p, noise, convex and for every estimator the products it needs; inf for never."""
    rows = []
    for cell, by_name in measured(evidence).items():
        row: dict[str, object] = {"problem": cell.problem, "p": cell.p, "noise": cell.noise}
        row["convex"] = min(one.convex for one in by_name.values())
        rows.append(row | {name: by_name[name].needed if name in by_name else math.nan for name in ESTIMATORS})
    return pd.DataFrame(rows)


def _blocks(evidence: Evidence) -> Iterable[Block]:
    found = needs(evidence)
    shown = found.assign(problem=found["problem"].map(PROBLEMS)).rename(columns=ESTIMATORS)
    yield Heading(3, f"Hessian–vector products for v to {ACCURATE:.0%}")
    yield Paragraph(
        "The least of 1, 2, 4, … from which on the median error over the judging points is no larger; a declared "
        "diagonal costs one of them, one that is probed ten. With noise a sum's error, and one sample's solution, may "
        "never be as small. “convex”: the share of points at which ∇²_yy g is positive definite."
    )
    yield frame_table(shown)
    rest = table(evidence)
    last = rest[rest["products"] == rest.groupby("problem")["products"].transform("max")]
    wide = last.pivot(index=["problem", "p", "noise"], columns="estimator", values="error").reset_index()
    wide = wide.assign(problem=wide["problem"].map(PROBLEMS)).rename(columns=ESTIMATORS)
    yield Paragraph("The median error after the most products:")
    yield frame_table(wide)


_EARLIER = "a prototype's finding, told in docs/adaptive.md, measured here"

STUDY = Study(
    experiments=(EXPERIMENT, NETWORK),
    drawings=(
        Drawing(
            "estimators",
            "The error ‖v̂ − v‖/‖v‖ of v, ∇²_yy g · v = f_y, against Hessian–vector products; median over the judging "
            "points. Example 3 is the coordinate-wise one, d = 10. What is larger than 3 is left out, what is smaller "
            "than 10⁻⁶ drawn there.",
            draw,
            (EXPERIMENT,),
        ),
    ),
    claims=(
        Claim(
            "estimators-d-sum",
            "In a Neumann sum the paper's D saves products where the Hessian vanishes with it, and costs some on "
            "ℓ_p-regression.",
            Kind.QUESTION,
            _EARLIER,
            partial(helps_and_hurts, "generalised", "classical"),
            experiments=(EXPERIMENT,),
            exponents=EXPONENTS,
        ),
        Claim(
            "estimators-d-solve",
            "As a preconditioner of conjugate gradient the paper's D saves products where the Hessian vanishes with "
            "it, and costs some on ℓ_p-regression.",
            Kind.QUESTION,
            _EARLIER,
            partial(helps_and_hurts, "cg_scaled", "cg"),
            experiments=(EXPERIMENT,),
            exponents=EXPONENTS,
        ),
        Claim(
            "estimators-diagonal",
            "Conjugate gradient with the Hessian's own diagonal needs at most twice the products of the best other "
            "estimator on every problem of a convex lower level.",
            Kind.QUESTION,
            _EARLIER,
            nearly_best,
            experiments=(EXPERIMENT,),
            exponents=EXPONENTS,
        ),
        Claim(
            "estimators-bias",
            "From noisy products conjugate gradient's v is too long by about the relative variance of the curvature, "
            "and a Neumann sum's with fresh samples is not.",
            Kind.QUESTION,
            "what sharing one sample among the products of a solve costs",
            biased,
            experiments=(EXPERIMENT,),
            exponents=EXPONENTS,
        ),
    ),
    blocks=_blocks,
    caveats=(
        "On Example 3 and the Hölder problem the Hessian is D by construction, so that D, and the diagonal, solve the "
        "system in one step: how much D helps where a Hessian vanishes only roughly like it is not seen here. The "
        "mixing is of x alone: v is the same with and without one.",
        "f_y is that of all data, so that errors are those of the products alone. Points are x about the start with y "
        "after 300 lower steps without noise, and not those of any method's run.",
        "How often products are drawn was settled after a trial, in which 64 estimates a point were too few to judge "
        "the bias on the Hölder problem at p = 2; the rules are those of before.",
        "The network's lower level is not convex, and no claim is about it: its v is that of the eigenvalues as they "
        "are, which conjugate gradient is not made for. Its diagonal is probed, for ten products.",
    ),
)
