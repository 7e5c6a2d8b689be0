"""Errors of every estimator's v in every cell, with a sum's step chosen by one half of the points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.store.records import Record
from unibio.studies.common.curves import Array
from unibio.studies.common.evidence import Evidence, column, exponent

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
#: The accuracy for which products are counted: the median over points of ‖v̂ − v‖/‖v‖.
ACCURATE = 0.1


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
