"""ε-stationarity along runs: the slides' three proximal residuals over σ, and the distances to the solution sets.

A triple (x, y, z) is ε-stationary where ρ⁻¹‖y − prox_{ρh_σ}(y)‖, ρ⁻¹‖z − prox_{ρg}(z)‖ and the projected step of x by ρ
are at most σε. Measured is the least such ε, the largest of the three over σ_k, at logged iterates; its mean over all
iterates is the trapezoidal rule's in the iteration, which is what a random iterate has in expectation. The slides state
rates of ‖∇𝓛*_{1/ε}‖; those of ε are ours, at the same exponents.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.store.records import Record
from unibio.studies.common import methods, style
from unibio.studies.common.claim import Claim
from unibio.studies.common.comparisons import every
from unibio.studies.common.curves import Array
from unibio.studies.common.document import Block, Heading, Table
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence, column
from unibio.studies.common.kinds import Kind
from unibio.studies.common.rates import against_bound, fit_power_law, interval_said, slopes_by_start, slopes_by_window
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import (
    CONSISTENT,
    NOT_RUN,
    NOT_TESTABLE,
    VIOLATED,
    Outcome,
)

EXPERIMENT = "stationarity"
PROBLEMS = {"point": "not convex, a point", "manifold": "not convex, a manifold", "wells": "several minima of φ"}
CASES = {"exact": "exact gradients", "upper": "noise on the upper level", "both": "noise on both levels"}
#: The slides' exponents: of F²SA in iterations, of the proximal methods in oracle calls.
BOUNDS = {
    "f2sa": {"exact": -1 / 3, "upper": -1 / 5, "both": -1 / 7},
    "proximal": {"exact": -1 / 3, "upper": -1 / 5, "both": -1 / 7},
    "proximal_momentum": {"exact": -1 / 3, "upper": -1 / 4, "both": -1 / 5},
}
PROXIMAL = ("proximal", "proximal_momentum")
#: Where solutions are points; and (PL-σ) holds. On the manifold f varies along it, and (PL-σ) fails.
POINTS = ("point", "wells")

#: Fits begin after this part of the run: before it the mean is of the way from the start.
EARLIEST = 0.01
#: A ratio that falls with σ no faster than like σ to this power is bounded below, as far as a run can tell.
FLAT = 0.1
#: Distances below this are rounding and are left out.
SMALLEST = 1e-11


@dataclass(frozen=True)
class Run:
    """One method on one problem under one kind of noise.

    Attributes:
        method, on, case: keys of ``BOUNDS``, ``PROBLEMS``, ``CASES``.
        iterations: (n,) logged ones, from 1 on.
        calls: (n,) oracle calls by then.
        epsilon: (seeds, n) mean over the iterates so far of the ε that they are stationary for.
        gradient: (seeds, n) the same of ‖∇φ‖.
    """

    method: str
    on: str
    case: str
    iterations: Array
    calls: Array
    epsilon: Array
    gradient: Array

    @property
    def unit(self) -> str:
        """What the slides' rates of the method count."""
        return "oracle calls" if self.method in PROXIMAL else "iterations"

    @property
    def t(self) -> Array:
        """(n,) as its rates count it."""
        return self.calls if self.method in PROXIMAL else self.iterations

    @property
    def bound(self) -> float:
        return BOUNDS[self.method][self.case]

    def slopes(self, values: Array) -> pd.DataFrame:
        """Fits of values (seeds, n) over ranges from ``EARLIEST`` on: to the end, and over decades.

        Raises:
            InputError: values that are not positive and finite.
        """
        found = pd.concat([slopes_by_start(self.t, values), slopes_by_window(self.t, values)], ignore_index=True)
        return found[found["low"] >= EARLIEST * self.t[-1]].reset_index(drop=True)


def running_mean(t: Array, values: Array) -> Array:
    """(seeds, n − 1) means over [0, t] by the trapezoidal rule, for t (n,) from 0 on and values (seeds, n)."""
    areas = np.cumsum(np.diff(t) * (values[:, 1:] + values[:, :-1]) / 2, axis=1)
    return np.asarray(areas / t[1:])


def _wide(record: Record, name: str) -> Array:
    """(seeds, n) a column of the history by seed and iteration; inf where a run has ended before, or diverged there."""
    table = record.history.assign(value=column(record, name)).pivot(index="run", columns="iteration", values="value")
    values = np.where(np.isfinite(table.to_numpy(dtype=float)), table.to_numpy(dtype=float), np.inf)
    values[(record.runs["status"] != "completed").to_numpy(), -1] = np.inf
    return values


def runs(evidence: Evidence) -> list[Run]:
    """Every record of the experiment, in the order of the tables above.

    Raises:
        MissingRecordsError: it was not run.
    """
    found = []
    for record in evidence.require(EXPERIMENT):
        method, case = _method(record), str(record.config["algorithm"]["schedule"])
        t = np.sort(record.history["iteration"].unique()).astype(float)
        calls = record.history.groupby("iteration")["oracle_calls"].max().to_numpy(dtype=float)
        epsilon, gradient = (running_mean(t, _wide(record, name)) for name in ("stationarity", "hypergradient_norm"))
        found.append(Run(method, str(record.config["paper"]["level"]), case, t[1:], calls[1:], epsilon, gradient))
    orders = (list(BOUNDS), list(PROBLEMS), list(CASES))
    return sorted(found, key=lambda one: tuple(order.index(k) for order, k in zip(orders, _key(one), strict=True)))


def _method(record: Record) -> str:
    return str(record.config["algorithm"]["name"]).removesuffix("_followed")


def _key(one: Run) -> tuple[str, str, str]:
    return one.method, one.on, one.case


def falls(
    method: str, cases: tuple[str, ...], problems: tuple[str, ...], of: Callable[[Run], Array]
) -> Callable[[Evidence], Outcome]:
    """Whether means over the iterates fall at least as fast as the slides' exponents, in all these cases and problems.

    Every fit range must say so, as in ``penalty_rates``: consistent where all upper ends of intervals are at most the
    exponent, violated where on some problem all lower ends are above it.
    """

    def rule(evidence: Evidence) -> Outcome:
        found = {(one.on, one.case): one for one in evidence.once(runs) if one.method == method}
        sides, said, numbers = {}, [], {}
        for on, case in itertools.product(problems, cases):
            where = f"{PROBLEMS[on]}, {CASES[case]}"
            one = found.get((on, case))
            if one is None:
                return Outcome(NOT_RUN, f"no records of {methods.label(method)}: {where}")
            try:
                slopes = one.slopes(of(one))
            except InputError as error:
                return Outcome(NOT_TESTABLE, f"{where}: {error}")
            if slopes.empty or (case != "exact" and slopes["seeds"].min() < 2):
                return Outcome(NOT_TESTABLE, f"{where}: runs too short, or a single one, for a slope with an interval")
            sides[where] = against_bound(slopes, one.bound)
            span = [float(slopes["slope"].min()), float(slopes["slope"].max())]
            said.append(f"{span[0]:.3f} to {span[1]:.3f} in {one.unit} for {one.bound:.3f} ({where})")
            numbers[where] = [*span, one.bound]
        text = f"slopes over all fit ranges: {'; '.join(said)}"
        if undecided := [where for where, side in sides.items() if side == 0]:
            text += f"; the fit range decides where: {'; '.join(undecided)}"
        if max(sides.values()) > 0:
            return Outcome(VIOLATED, text, numbers)
        return Outcome(CONSISTENT if max(sides.values()) < 0 else NOT_TESTABLE, text, numbers)

    return rule


def moduli(evidence: Evidence) -> pd.DataFrame:
    """method, on, case, iteration, sigma, and the least ratio over the seeds of residual and distance, of y and of z.

    Iterates that have arrived, up to rounding, have no ratio.
    """
    parts = []
    for record in evidence.require(EXPERIMENT):
        head = {"method": _method(record), "on": record.config["paper"]["level"]}
        head |= {"case": record.config["algorithm"]["schedule"]}
        table = pd.DataFrame({"iteration": record.history["iteration"], "sigma": 1 / column(record, "weight")})
        for letter in ("y", "z"):
            far, left = column(record, f"distance_{letter}"), column(record, f"residual_{letter}") * table["sigma"]
            table[f"modulus_{letter}"] = (left / far).where(far > SMALLEST)
        least = table.groupby("iteration", as_index=False).min().assign(**head)
        parts.append(least[least["iteration"] > 0])
    return pd.concat(parts, ignore_index=True)


def _in_sigma(evidence: Evidence, letters: str, problems: tuple[str, ...]) -> pd.DataFrame:
    """where, exponent of σ in residual over distance, and the least ratio: in the last half of every run's rows.

    Logged iterates are spaced by the logarithm of the iteration. Runs that have arrived have no distance to bound and
    are left out; NaN where a residual is not defined.
    """
    rows, found = [], moduli(evidence)
    for (method, on, case), part in found[found["on"].isin(problems)].groupby(["method", "on", "case"]):
        for letter in letters:
            values = part[["sigma", f"modulus_{letter}"]].iloc[len(part) // 2 :]
            values = values[values[f"modulus_{letter}"].notna()].sort_values("sigma")
            if len(values) < 5:
                continue
            ratio = values[f"modulus_{letter}"].to_numpy()
            try:
                slope = fit_power_law(values["sigma"].to_numpy(), ratio).slope
            except InputError:  # a residual of 0 at a distance
                slope = math.nan
            where = f"{letter}, {methods.label(str(method))}, {PROBLEMS[str(on)]}, {CASES[str(case)]}"
            rows.append({"where": where, "on": on, "slope": slope, "least": ratio.min()})
    return pd.DataFrame(rows, columns=["where", "on", "slope", "least"])


def bounds_distance(evidence: Evidence) -> Outcome:
    """Along runs, residual over distance is bounded below as σ falls: its exponent in σ is at most ``FLAT``.

    Asked where (PL-σ) holds: of y and z where solutions are a point.
    """
    if not every((one.runs["status"] == "completed").all() for one in evidence.require(EXPERIMENT)):
        return Outcome(NOT_TESTABLE, "runs diverged")
    found = _in_sigma(evidence, "yz", POINTS)
    if set(found["on"]) != set(POINTS) or found["slope"].isna().any():
        return Outcome(
            NOT_TESTABLE, "no iterates with a distance to their solutions, or a residual that is not defined"
        )
    worst = found.loc[found["slope"].idxmax()]
    text = (
        f"residual over distance in {len(found)} cases: largest exponent of σ {worst['slope']:.3f} ({worst['where']}), "
        f"least ratio {found['least'].min():.2g}"
    )
    ok = every(found["slope"] <= FLAT)
    return Outcome(CONSISTENT if ok else VIOLATED, text, dict(zip(found["where"], found["slope"], strict=True)))


def _blocks(evidence: Evidence) -> list[Block]:
    rows: list[list[str | float]] = []
    for one in evidence.once(runs):
        row: list[str | float] = [methods.label(one.method), PROBLEMS[one.on], CASES[one.case], f"{one.bound:.3f}"]
        for values in (one.epsilon, one.gradient):
            try:
                slopes = slopes_by_start(one.t, values)
            except InputError:  # diverged
                slopes = pd.DataFrame()
            slopes = slopes[slopes["low"] >= EARLIEST * one.t[-1]] if len(slopes) else slopes
            if slopes.empty:
                row.append("none")
                continue
            last = slopes.iloc[-1]
            said = interval_said(last["interval_low"], last["interval_high"], last["seeds"])
            row.append(f"{last['slope']:.3f} ({said})")
        rows.append([*row, f"{one.epsilon[:, -1].mean():.3g}"])
    title = ["method", "lower level", "noise", "slides' exponent", "slope of ε", "slope of ‖∇φ‖", "mean ε at the end"]
    return [Heading(3, "ε-stationarity along runs"), Table(title, rows)]


def draw(evidence: Evidence) -> Drawn:
    """Mean ε against oracle calls, a panel per problem and kind of noise."""
    found = evidence.once(runs)
    figure, axes = style.panels(len(CASES), len(PROBLEMS), 6.4, sharex=True, sharey="row")
    tables = []
    for i, case in enumerate(CASES):
        for panel, on in zip(axes[i], PROBLEMS, strict=True):
            panel.set(xscale="log", yscale="log")
            if i == 0:
                panel.set_title(PROBLEMS[on], loc="left")
            for order, one in enumerate(one for one in found if (one.on, one.case) == (on, case)):
                mean, look = one.epsilon.mean(axis=0), methods.look(one.method)
                shown = np.where(np.isfinite(mean), mean, math.nan)
                panel.plot(one.calls, shown, markevery=style.spread_markers(one.calls, order, log=True), **look)
                head = {"method": methods.label(one.method), "on": on, "case": case}
                columns = {"iteration": one.iterations, "oracle_calls": one.calls, "epsilon": shown}
                gradient = one.gradient.mean(axis=0)
                tables.append(
                    pd.DataFrame({**head, **columns, "hypergradient_norm": gradient, "seeds": len(one.epsilon)})
                )
        axes[i, 0].set_ylabel(f"mean ε, {CASES[case].removesuffix(' gradients')}")
    for panel in axes[-1]:
        panel.set_xlabel("oracle calls")
    shown_methods = [name for name in BOUNDS if name in {one.method for one in found}]
    handles = [style.handle(methods.label(name), **methods.look(name)) for name in shown_methods]
    style.legend_above(figure, handles, 3)
    return Drawn(
        figure, {"stationarity": pd.concat(tables, ignore_index=True), "stationarity_moduli": moduli(evidence)}
    )


def _epsilon(one: Run) -> Array:
    return one.epsilon


def _gradient(one: Run) -> Array:
    return one.gradient


_COMPLEXITY = "“Two-Loop Algorithm”, “Single-Loop Algorithm with Momentum”, their “Convergence and Complexity”"

_BOUND = "“Locally Approximated Landscape”, (PL-σ)"

STUDY = Study(
    experiments=(EXPERIMENT,),
    drawings=(
        Drawing(
            "stationarity",
            "The ε for which iterates are ε-stationary as the slides define it, the largest of three proximal "
            "residuals over σ: its mean over the iterates against oracle calls; mean over the seeds.",
            draw,
            title="How ε-stationary the iterates are, as the slides define it",
        ),
    ),
    claims=(
        *(
            Claim(
                f"stationarity-{method.replace('_', '-')}-{case}",
                f"{methods.label(method)} with {CASES[case]}: iterates are ε-stationary with an ε that on average "
                "falls at least as fast as the slides' exponents of ‖∇𝓛*_{1/ε}‖, where solutions are points.",
                Kind.EXTENSION,
                "“Formulation and Approach” defines ε, “Convergence and Complexity” has the exponents",
                falls(method, (case,), POINTS, _epsilon),
            )
            for method in BOUNDS
            for case in CASES
        ),
        *(
            Claim(
                f"stationarity-gradient-{method.replace('_', '-')}-{case}",
                f"{methods.label(method)} with {CASES[case]}: the averaged ‖∇φ‖ falls at least as fast as the slides' "
                "exponents in oracle calls, where the lower level is not convex and where φ is not.",
                Kind.SLIDES,
                _COMPLEXITY,
                falls(method, (case,), POINTS, _gradient),
            )
            for method in PROXIMAL
            for case in CASES
        ),
        *(
            Claim(
                f"stationarity-manifold-{method.replace('_', '-')}",
                f"{methods.label(method)}: the averaged ‖∇φ‖ falls as fast where solutions are a manifold and (PL-σ) "
                "fails.",
                Kind.QUESTION,
                "the slides ask for (PL-σ); solution sets are Lipschitz here without it",
                falls(method, tuple(CASES), ("manifold",), _gradient),
            )
            for method in PROXIMAL
        ),
        Claim(
            "stationarity-distance",
            "Along runs the proximal residuals bound the distances of y to S(x, σ) and of z to S(x, 0), with one μ as "
            "σ falls, where solutions are points.",
            Kind.SLIDES,
            _BOUND,
            bounds_distance,
        ),
    ),
    blocks=_blocks,
    caveats=(
        "Runs are short: x moves by 0.2σ of its direction, the lower level being slow, and the way from the start is "
        "not over where fits begin. A slope above its exponent is then one of that way, and of the plateaus between "
        "the minima of φ, and says of the theorem that its constants are not small here.",
        "x is not constrained here, so that its residual is ‖∇_x h_σ(x, y) − ∇_x g(x, z)‖. F²SA's theory is for "
        "strongly convex lower levels; on those that are not convex it is run as an experiment. Of a manifold the "
        "distance of z is to the point of S(x, 0) whose T is nearest, which is at least the distance.",
    ),
)
