"""The slides' Lyapunov function along F²SA, on which their analysis rests:

    V_k = φ(x_k) − min φ + λ_k L‖y_k − y*_{λ_k}(x_k)‖² + ½ λ_k L‖z_k − y*(x_k)‖²,      L the smoothness of g

which decreases, in expectation where gradients are noisy. With exact gradients it is looked at after every iteration;
with noise its mean over windows of iterations, each a few times as long as the one before, is compared by seed.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from unibio.store.records import Record
from unibio.store.thinning import Kept
from unibio.studies.common import style
from unibio.studies.common.claim import Claim
from unibio.studies.common.comparisons import every
from unibio.studies.common.curves import Array
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence, column
from unibio.studies.common.kinds import Kind
from unibio.studies.common.rates import student
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import (
    CONSISTENT,
    NOT_REPRODUCED,
    NOT_RUN,
    NOT_TESTABLE,
    REPRODUCED,
    VIOLATED,
    Outcome,
)

EXPERIMENT = "lyapunov"
CASES = {"exact": "exact gradients", "upper": "noise on the upper level", "both": "noise on both levels"}
PARTS = {
    "lyapunov": "V",
    "value_gap": "φ − min φ",
    "distance_y": "‖y − y*_λ‖",
    "distance_z": "‖z − y*‖",
}

#: V has risen where it is above its least so far by more than this part: published numbers are rounded to half of it.
SLACK = 1e-3
#: Over a run V must fall by this factor at least: one that stays where it is has not decreased.
FALLS = 0.5
#: And φ − min φ by this in the mean over the starts: y and z alone would do for the most of V, x being where it was.
MOVES = 0.95
#: Gaps of φ below this are rounding.
SMALLEST = 1e-12
#: A window of iterations is this many times as long as the one before.
WIDTH = 4.0
#: Windows a comparison with noise needs.
LEAST_WINDOWS = 3


def _records(evidence: Evidence, case: str) -> list[tuple[float, Record]]:
    """κ and record of every run of a case."""
    found = [one for one in evidence.require(EXPERIMENT) if one.config["algorithm"]["schedule"] == case]
    return sorted(((float(one.config["problem"]["condition"]), one) for one in found), key=lambda pair: pair[0])


def paths(record: Record, metric: str = "lyapunov") -> tuple[Array, Array]:
    """Logged iterations (n,) and the metric by run (runs, n); NaN where a run has ended before."""
    table = record.history.assign(value=column(record, metric)).pivot(index="run", columns="iteration", values="value")
    return table.columns.to_numpy(dtype=float), table.to_numpy(dtype=float)


def rises(values: Array) -> Array:
    """(runs,) by what part a metric (runs, n) is at most above its least so far; inf where it is not finite."""
    sound = np.asarray((np.isfinite(values) & (values > 0)).all(axis=1))
    least = np.minimum.accumulate(np.where(sound[:, None], values, 1.0), axis=1)
    above = (values[:, 1:] / least[:, :-1] - 1).max(axis=1, initial=0.0)
    return np.where(sound, above, np.inf)


def _finished(record: Record) -> bool:
    return bool((record.runs["status"] == "completed").all())


def falls_exactly(evidence: Evidence) -> Outcome:
    """V falls in every iteration, from every start, for every κ; in all by ``FALLS``, and φ's part by ``MOVES``."""
    found = _records(evidence, "exact")
    if not found:
        return Outcome(NOT_RUN, f"no records of {EXPERIMENT} with {CASES['exact']}")
    if not every(_finished(record) for _, record in found):
        return Outcome(NOT_TESTABLE, "runs diverged: they have no V")
    said, worst, shares, moved = [], [], [], []
    for condition, record in found:
        t, values = paths(record)
        if not np.isfinite(values).all():
            return Outcome(NOT_TESTABLE, "V is not defined everywhere")
        worst.append(float(rises(values).max()))
        shares.append(float((values[:, -1] / values[:, 0]).max()))
        gaps = paths(record, "value_gap")[1]
        moved.append(float(gaps[:, -1].mean() / gaps[:, 0].mean()))
        said.append(
            f"largest rise above the least so far {worst[-1]:.2g} of it, V_K/V_0 ≤ {shares[-1]:.2g}, φ's mean part "
            f"{moved[-1]:.2g}, in {len(t) - 1} steps from {len(values)} starts (κ = {condition:g})"
        )
    text, numbers = "; ".join(said), {"rise": worst, "share": shares, "moved": moved}
    ok = every(value <= SLACK for value in worst) and every(value <= FALLS for value in shares)
    ok = ok and every(value <= MOVES for value in moved)
    return Outcome(CONSISTENT if ok else VIOLATED, text, numbers)


def windows(record: Record, metric: str = "lyapunov") -> tuple[Array, Array]:
    """Ends (m,) of windows of iterations, each ``WIDTH`` times as long as the one before, and means (runs, m) of V."""
    t, values = paths(record, metric)
    keep = t > 0
    place = np.floor(np.log(t[keep]) / np.log(WIDTH) + 1e-9).astype(int)
    means = np.stack([values[:, keep][:, place == i].mean(axis=1) for i in np.unique(place)], axis=1)
    return np.array([t[keep][place == i].max() for i in np.unique(place)]), means


def falls_on_average(evidence: Evidence) -> Outcome:
    """With noise, E V is lower in every window than in the one before, by Student's interval over the seeds.

    Consistent where all intervals of the differences lie below 0, and that of φ between the first and the last window,
    for which x has to move; violated where one lies above.
    """
    said, numbers, sides = [], {}, []
    for case in ("upper", "both"):
        found = _records(evidence, case)
        if not found:
            return Outcome(NOT_RUN, f"no records of {EXPERIMENT} with {CASES[case]}")
        for condition, record in found:
            if not _finished(record):
                return Outcome(NOT_TESTABLE, "runs diverged: they have no V")
            ends, means = windows(record)
            where = f"{CASES[case]}, κ = {condition:g}"
            if len(ends) < LEAST_WINDOWS or len(means) < 2 or not np.isfinite(means).all():
                return Outcome(NOT_TESTABLE, f"too few windows or runs, or V is not defined ({where})")
            gap = windows(record, "value_gap")[1]
            intervals = [student(apart) for apart in (*np.diff(means, axis=1).T, gap[:, -1] - gap[:, 0])]
            sides += [0 if one is None else -1 if one[1] < 0 else 1 if one[0] > 0 else 0 for one in intervals]
            ratios = means[:, 1:].mean(axis=0) / means[:, :-1].mean(axis=0)
            numbers[where] = {"means": means.mean(axis=0).tolist(), "intervals": intervals}
            said.append(f"{ratios.min():.2f} to {ratios.max():.2f} times the window before ({where})")
    text = f"mean of V over {len(said)} settings: " + ", ".join(said)
    if max(sides) > 0:
        return Outcome(VIOLATED, text, numbers)
    return Outcome(CONSISTENT if max(sides) < 0 else NOT_TESTABLE, text, numbers)


def needs_its_terms(evidence: Evidence) -> Outcome:
    """φ alone rises on the way of runs along which V falls: what it is that V's other two terms are for."""
    found = _records(evidence, "exact")
    if not found:
        return Outcome(NOT_RUN, f"no records of {EXPERIMENT} with {CASES['exact']}")
    if (falling := falls_exactly(evidence)).verdict != CONSISTENT:
        return Outcome(NOT_TESTABLE, f"V itself does not fall: {falling.explanation}", falling.numbers)
    up = {
        f"κ = {condition:g}": rises(np.maximum(paths(record, "value_gap")[1], SMALLEST)) for condition, record in found
    }
    text = "φ − min φ rises above its least so far " + ", ".join(
        f"from {int((rise > SLACK).sum())} of {len(rise)} starts, by up to {rise.max():.2g} of it ({where})"
        for where, rise in up.items()
    )
    ok = every((rise > SLACK).any() for rise in up.values())
    return Outcome(REPRODUCED if ok else NOT_REPRODUCED, text, {where: rise.tolist() for where, rise in up.items()})


def table(evidence: Evidence) -> pd.DataFrame:
    """case, condition, iteration, and of V and its parts the mean over the runs."""
    rows = []
    for case in CASES:
        for condition, record in _records(evidence, case):
            head = {"case": case, "condition": condition}
            means = {name: paths(record, name)[1].mean(axis=0) for name in PARTS}
            rows.append(pd.DataFrame({**head, "iteration": paths(record)[0], **means}))
    return pd.concat(rows, ignore_index=True)


def draw(evidence: Evidence) -> Drawn:
    """V and its parts against iterations, a panel per kind of noise."""
    found = table(evidence)
    conditions = sorted(found["condition"].unique())
    figure, axes = style.panels(1, len(CASES), 2.9, sharey=True)
    looks = {name: style.of_place(i, len(PARTS)) for i, name in enumerate(PARTS)}
    for panel, (case, title) in zip(axes[0], CASES.items(), strict=True):
        panel.set(xscale="log", yscale="log", xlabel="iterations")
        panel.set_title(title, loc="left")
        for condition, part in found[(found["case"] == case) & (found["iteration"] > 0)].groupby("condition"):
            x = part["iteration"].to_numpy()
            for i, (name, look) in enumerate(looks.items()):
                pale = {"alpha": 0.45} if condition != conditions[-1] else {}
                panel.plot(x, part[name], markevery=style.spread_markers(x, i, log=True), **look | pale)
    axes[0, 0].set_ylabel("mean over the runs")
    style.legend_above(figure, [style.handle(PARTS[name], **look) for name, look in looks.items()], 4)
    parts = [_thinned(part) for _, part in found.groupby(["case", "condition"], sort=False)]
    return Drawn(figure, {"lyapunov": pd.concat(parts, ignore_index=True)})


def _thinned(part: pd.DataFrame) -> pd.DataFrame:
    """A hundred rows of a curve, by the logarithm of the iteration."""
    wanted = np.unique(np.geomspace(1, len(part), 100).astype(int)) - 1
    return part.iloc[wanted]


STUDY = Study(
    experiments=(EXPERIMENT,),
    kept=Kept(metrics=("lyapunov", "value_gap", "distance_y", "distance_z")),
    drawings=(
        Drawing(
            "lyapunov",
            "The slides' Lyapunov function V along F²SA, and what it consists of, on a hyper-objective that is not "
            "convex, at the largest κ (pale: at the least); mean over starts or seeds.",
            draw,
            title="Whether the slides' Lyapunov function falls along F²SA",
        ),
    ),
    claims=(
        Claim(
            "lyapunov-exact",
            "With exact gradients the Lyapunov function V of F²SA falls in every iteration.",
            Kind.SLIDES,
            "“Analysis”",
            falls_exactly,
        ),
        Claim(
            "lyapunov-noise",
            "With noise on the upper level or on both, E V falls.",
            Kind.SLIDES,
            "“Analysis”",
            falls_on_average,
        ),
        Claim(
            "lyapunov-terms",
            "φ alone does not fall in every iteration of F²SA where V does.",
            Kind.QUESTION,
            "whether V needs its other terms, which the slides say by its form",
            needs_its_terms,
        ),
    ),
    caveats=(
        "L is the largest eigenvalue of the Hessian of g in (x, y). The slides' bounds on the steps have constants "
        "that they leave open; the steps here are ours, with T = κ, ξ = 1, αλ = 0.4 and λ_0 = 20κ.",
    ),
)
