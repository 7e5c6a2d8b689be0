"""What local deviations of the released code do: each variant beside the method it deviates from, from records.

A method that has come to rest moves along a direction of 0. Full batch, ‖∇φ‖ at its rest is therefore the bias of its
hypergradient there. Not every method rests: TTSA's and SUSTAIN's Neumann sums of random lengths keep their variance,
and UniBiO's normalised step circles at a distance of about a step. What each comes to is compared with what the
published method does, which has the same finite sums, lengths and steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.store.records import Record
from unibio.store.thinning import Kept
from unibio.studies.common import methods, style
from unibio.studies.common.claim import Claim
from unibio.studies.common.comparisons import every, target
from unibio.studies.common.curves import Array, final
from unibio.studies.common.document import Block, Heading, Paragraph, frame_table
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence, column
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, SAME, Outcome
from unibio.studies.common.words import finite

EXPERIMENT = "discrepancies"
METRIC = "hypergradient_norm"

#: variant → published method, as the names of algorithms go.
PUBLISHED = {
    "stocbio_headless": "stocbio",
    "stocbio_accumulating": "stocbio",
    "ttsa_bare": "ttsa",
    "saba_opposite": "saba",
    "saba_history": "saba",
    "sustain_lagging": "sustain",
    "sustain_two_lengths": "sustain",
    "vrbo_stale": "vrbo",
    "unibio_transposed": "unibio",
}
#: What each does otherwise, in few words, beside its curve.
OTHERWISE = {
    "stocbio_headless": "sum has no q = 0",
    "stocbio_accumulating": "lower gradients add",
    "ttsa_bare": "sum has no factor Q",
    "saba_opposite": "f$_x$ + Jz, not − Jz",
    "saba_history": "no table of values",
    "sustain_lagging": "one direction late",
    "sustain_two_lengths": "one for each point",
    "vrbo_stale": "first correction is 0",
    "unibio_transposed": "D H⁻¹ D⁻¹ f$_y$",
}
#: Deviations that change what a method comes to, and those that change whether and how fast it does.
BIASED = ("stocbio_headless", "ttsa_bare", "saba_opposite", "unibio_transposed")
SLOWED = tuple(name for name in PUBLISHED if name not in BIASED)

#: Below this ‖∇φ‖ at rest is rounding.
ROUNDING = 1e-9
#: A run whose ‖∇φ‖ ends at this many times that of its start diverges, whether or not its numbers are still finite. A
#: rest off the solution (SABA's sign: twice the start) and a circle of the largest step are not that.
GROWN = 10.0
#: The smallest ‖∇φ‖ this many times the published method's is a bias: more than seeds and circling make of it.
FACTOR = 2.0

#: Columns of ``summary``.
SMALLEST, TIMES = "smallest ‖∇φ‖ reached", "times the published method's"


def by_step(evidence: Evidence) -> pd.DataFrame:
    """method, published, upper_step; medians over seeds of first and final ‖∇φ‖ and of the first hit, the least and the
    largest of the latter two; part of the runs that are stable, that is completed and not ``GROWN``.

    Raises:
        InputError: a record without first hits.
    """
    return evidence.once(_by_step).copy()


def _by_step(evidence: Evidence) -> pd.DataFrame:
    rows = []
    for record in evidence.require(EXPERIMENT):
        name = str(record.config["algorithm"]["name"])
        end = final(record, METRIC)
        first = column(record, METRIC).groupby(record.history["run"]).first()
        start = first.reindex(range(len(end))).to_numpy(dtype=float)
        table = record.runs.assign(
            start=start, end=np.minimum(end, 1e300), hit=_hits(record), stable=end < GROWN * start
        )
        for step, runs in table.groupby("upper_step"):
            row = {"method": name, "published": PUBLISHED.get(name, name), "upper_step": float(str(step))}
            row |= {"start": float(runs["start"].median())}
            for what, of in (("final", "end"), ("iterations", "hit")):
                values = runs[of]
                row |= {what: float(values.median()), f"{what}_least": values.min(), f"{what}_largest": values.max()}
            rows.append(row | {"stable": float(runs["stable"].mean())})
    found = pd.DataFrame(rows)
    for name in ("final", "final_least", "final_largest"):
        found[name] = found[name].where(found[name] < 1e200, np.inf)
    found["place"] = found["method"] != found["published"]
    found = found.sort_values(["published", "place", "method", "upper_step"])
    return found.drop(columns="place").reset_index(drop=True)


def _hits(record: Record) -> Array:
    """(runs,) iterations to the smallest target; inf where a run never gets there."""
    name = target(record, METRIC)
    if name is None:
        raise InputError(f"{record.name} has no first hits of {METRIC}; run it with targets")
    return record.runs[f"iterations_to {name}"].fillna(np.inf).to_numpy(dtype=float)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row per method and variant, over the steps at which all its runs are stable: the smallest ‖∇φ‖ that it comes
    to (nan without such a step) and how many times that of the published method this is, both not below ``ROUNDING``;
    the largest such step; the fewest iterations to the target."""
    rows = []
    for (published, name), group in table.groupby(["published", "method"], sort=False):
        stable = group[group["stable"] == 1]
        row = {"method": name, "published": published, SMALLEST: stable["final"].min()}
        row |= _at_least(stable, "final") | {"start": stable["start"].median()}
        row |= {"largest stable step": stable["upper_step"].max()}
        row |= _at_least(stable, "iterations")
        rows.append(row | {"fewest iterations to target": stable["iterations"].min()})
    found = pd.DataFrame(rows)
    clipped = found[SMALLEST].clip(lower=ROUNDING)
    own = clipped[found["method"] == found["published"]]
    own.index = found.loc[own.index, "published"]
    found[TIMES] = clipped / found["published"].map(own)
    return found


def _at_least(stable: pd.DataFrame, what: str) -> dict[str, float]:
    """The least and the largest over the seeds at the step whose median is least; nan without a step."""
    if stable.empty:
        return {f"{what}_least": math.nan, f"{what}_largest": math.nan}
    row = stable.loc[stable[what].idxmin()]
    return {name: float(row[name]) for name in (f"{what}_least", f"{what}_largest")}


#: Columns of ``summary`` that a reader of tables has no use for.
_FOR_RULES = ["final_least", "final_largest", "iterations_least", "iterations_largest", "start"]

#: Whether each variant does what is looked for, those of which the seeds do not tell, that in words, and numbers.
Judged = tuple[dict[str, bool], list[str], str, dict[str, object]]


def moves_the_rest(evidence: Evidence) -> Outcome:
    """Every deviation in ``BIASED`` comes to more than ``FACTOR`` times the published method's smallest ‖∇φ‖.

    With every seed: its least against the other's largest.
    """

    def judge(table: pd.DataFrame) -> Judged:
        over = {name: float(table.loc[name, TIMES]) for name in BIASED}
        apart = {
            name: max(table.loc[name, "final_least"], ROUNDING)
            > FACTOR * max(table.loc[PUBLISHED[name], "final_largest"], ROUNDING)
            for name in BIASED
        }
        text = "smallest ‖∇φ‖ over the upper steps, against the published method: " + ", ".join(
            f"{_level(table.loc[name, SMALLEST])} and {_level(table.loc[PUBLISHED[name], SMALLEST])} "
            f"({methods.label(name)})"
            for name in BIASED
        )
        found = {name: apart[name] if ratio > FACTOR else False for name, ratio in over.items()}
        blurred = [name for name, ratio in over.items() if ratio > FACTOR and not apart[name]]
        return found, blurred, text, {"times_published": over}

    return _rule(evidence, BIASED, judge)


def costs_without_bias(evidence: Evidence) -> Outcome:
    """Every deviation in ``SLOWED`` comes as close as the published method, within ``FACTOR``, and is worse at getting
    there: unstable at smaller upper steps, slower to the target, or further off at the steps at which both are
    stable. Slower and further off are with every seed, the latter at most of the steps."""

    def judge(table: pd.DataFrame) -> Judged:
        every_step = by_step(evidence)
        every_step = every_step[every_step["stable"] == 1]
        columns = ("final", "final_least", "final_largest")
        steps, least, largest = (
            every_step.pivot(index="upper_step", columns="method", values=name).clip(lower=ROUNDING) for name in columns
        )
        found, said, numbers = {}, [], {}
        for name in SLOWED:
            mine, own = table.loc[name], table.loc[PUBLISHED[name]]
            times = float(mine[TIMES])
            close = times <= FACTOR
            stable = _ratio(mine["largest stable step"], own["largest stable step"])
            slower = _ratio(mine["fewest iterations to target"], own["fewest iterations to target"])
            both = steps[[name, PUBLISHED[name]]].dropna()
            off = float(np.exp(np.log(both[name] / both[PUBLISHED[name]]).mean())) if len(both) else np.nan
            further = least[name][both.index] > largest[PUBLISHED[name]][both.index]
            later = mine["iterations_least"] > own["iterations_largest"]
            worse = [
                what
                for what, is_so in (
                    (f"stable up to {stable:.2f} times the step", stable < 1 - SAME),
                    (f"{slower:.3g} times the iterations", slower > 1 + SAME and later),
                    (f"‖∇φ‖ {off:.3g} times as large at equal steps", off > 1 + SAME and further.mean() > 0.5),
                )
                if is_so
            ]
            found[name] = close and bool(worse)
            said.append(f"{methods.label(name)} {times:.2f} times ({', '.join(worse) or 'no worse'})")
            numbers[name] = {"smallest": times, "stable": stable, "iterations": slower, "at_equal_steps": off}
        plain = {name: {key: finite(v) for key, v in row.items()} for name, row in numbers.items()}
        text = "smallest ‖∇φ‖ over the upper steps as a multiple of the published method's, rounding aside, and costs: "
        return found, [], f"{text}{'; '.join(said)}", {"over_published": plain}

    return _rule(evidence, SLOWED, judge)


def _named(names: Iterable[str]) -> str:
    return ", ".join(map(methods.label, names))


def _level(norm: float) -> str:
    return f"{norm:.2g}" if norm >= ROUNDING else "rounding"


def _ratio(mine: float, own: float) -> float:
    """nan where the published method never gets there itself."""
    return float(mine / own) if np.isfinite(own) else np.nan


def _rule(evidence: Evidence, variants: Sequence[str], judge: Callable[[pd.DataFrame], Judged]) -> Outcome:
    """Reproduced if all of some variants do what ``judge`` looks for.

    Not testable where a method is stable at no step, where a published one does not get below half of where it began,
    so that there is nothing to deviate from, or where the seeds do not tell.
    """
    table = summary(by_step(evidence)).set_index("method")
    wanted = sorted({*variants, *(PUBLISHED[name] for name in variants)})
    if absent := [name for name in wanted if name not in table.index]:
        return Outcome(NOT_RUN, f"{EXPERIMENT} holds no records of {_named(absent)}")
    if lost := [name for name in wanted if not np.isfinite(table.loc[name, SMALLEST])]:
        return Outcome(NOT_TESTABLE, f"no upper step at which all runs are stable: {_named(lost)}")
    published = sorted({PUBLISHED[name] for name in variants})
    if idle := [name for name in published if not table.loc[name, SMALLEST] <= table.loc[name, "start"] / FACTOR]:
        return Outcome(NOT_TESTABLE, f"the published method does not descend: {_named(idle)}")
    found, blurred, text, numbers = judge(table)
    failing = [name for name, so in found.items() if not so and name not in blurred]
    if failing:
        text += f"; not so: {_named(failing)}"
        return Outcome(NOT_REPRODUCED, text, numbers)
    if blurred:
        return Outcome(NOT_TESTABLE, f"{text}; the seeds do not tell {_named(blurred)} from it", numbers)
    return Outcome(REPRODUCED if every(found.values()) else NOT_REPRODUCED, text, numbers)


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    return summary(table).drop(columns=_FOR_RULES)


#: Values below are drawn here.
_FLOOR = 1e-12
#: The published method is wide and filled, its variants thin and open: most of them coincide with it for a while.
_BELOW = {"linewidth": 2.4, "markersize": 7, "zorder": 2}
_ABOVE = {"linewidth": 1.0, "markersize": 4, "zorder": 3, "markerfacecolor": "white"}


def draw(evidence: Evidence) -> Drawn:
    """Final ‖∇φ‖, median over the seeds; a panel per published method. Missing points diverged."""
    table = by_step(evidence)
    names = list(table["published"].unique())
    columns = min(3, len(names))
    figure, axes = style.panels(-(-len(names) // columns), columns, 6.4, sharex=True)
    for panel, name in zip(axes.flat, names, strict=False):
        here, low, high = table[table["published"] == name], math.inf, _FLOOR
        variants = [method for method in here["method"].unique() if method != name]
        for method in (name, *variants):
            mine = here[here["method"] == method]
            end = np.clip(mine["final"].to_numpy(dtype=float), _FLOOR, None)
            end = np.where(mine["stable"] == 1, end, np.nan)
            if method == name:
                label, look = "as published", methods.look(name) | _BELOW
            else:
                label = f"{method.removeprefix(f'{name}_').replace('_', ' ')}:\n{OTHERWISE[method]}"
                look = style.of_place(variants.index(method), len(variants)) | _ABOVE
            panel.plot(mine["upper_step"], end, label=label, **look)
            low, high = min(low, *end[np.isfinite(end)], 1.0), max(high, *end[np.isfinite(end)])
        panel.margins(x=0.09)  # markers stand clear of the axis
        panel.set(xscale="log", yscale="log", ylim=(low / 10, 10 * high * (high / low) ** 1.2))  # and the legend
        panel.set_title(methods.label(name), loc="left")
        panel.legend(loc="upper left", handlelength=1.9, handletextpad=0.5, borderaxespad=0.2)
    for panel in axes.flat[len(names) :]:
        panel.set_visible(False)
    for panel in axes.flat[max(0, len(names) - columns) : len(names)]:  # the lowest of each column
        panel.set_xlabel("upper step η")
        panel.tick_params(labelbottom=True)
    for panel in axes[:, 0]:
        panel.set_ylabel("final ‖∇φ‖")
    return Drawn(figure, {"discrepancies": table, "discrepancies_summary": _shown(table)})


_REMARKS = (
    "Full-batch quadratic. `smallest ‖∇φ‖ reached` is over the upper steps: where a method rests, it is the bias of "
    "its hypergradient, of a published one that of its finite Neumann sum. TTSA and SUSTAIN draw the sum's length, "
    "whose variance does not let them rest; UniBiO's normalised steps circle at a distance of about a step, so that "
    "the smallest step decides. A step is stable where no run diverges or ends at "
    f"{GROWN:g} times ‖∇φ‖ of its start. Multiples count nothing below {ROUNDING:g}, which "
    "is rounding. UniBiO's deviation is none at p = 2: there both are told p = 3."
)


def _blocks(evidence: Evidence) -> Iterable[Block]:
    yield Heading(3, "Deviations of the released code")
    yield Paragraph(_REMARKS)
    yield frame_table(methods.labelled(_shown(by_step(evidence))))


STUDY = Study(
    experiments=(EXPERIMENT,),
    kept=Kept(metrics=(METRIC,)),
    drawings=(
        Drawing(
            "discrepancies",
            "Deviations of the released code on the full-batch quadratic: ‖∇φ‖ at the end of the run; missing points "
            "diverged.",
            draw,
            title="What deviations of the released code do to a method",
        ),
    ),
    claims=(
        Claim(
            "released-bias",
            "The released code's Neumann sums without their first term, TTSA without its factor, SABA's sign and "
            "UniBiO's D H⁻¹ D⁻¹ bias the hypergradient: on a quadratic they rest where ∇φ is not 0.",
            Kind.QUESTION,
            "what local deviations of the released code do",
            moves_the_rest,
        ),
        Claim(
            "released-speed",
            "Its other local deviations (accumulating lower gradients, SABA's history, SUSTAIN's lag and two "
            "lengths, VRBO's zero first correction) come as close to ∇φ = 0 on a quadratic, to a factor of 2, but "
            "cost stability, iterations or accuracy.",
            Kind.QUESTION,
            "what local deviations of the released code do",
            costs_without_bias,
        ),
    ),
    blocks=_blocks,
)
