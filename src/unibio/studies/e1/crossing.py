"""What a method does at x = 0 on Example 3, where y* and the classical Hessian vanish for p > 2.

φ(x) = sin(sin x) rises on [−π/2, π/2], so that x = arcsin arcsin φ recovers the iterate there; beyond, x comes back
folded into the interval. With the band |x| ≤ ``BAND`` around the crossing, a run from x = 1

* ``passes``: it goes through the band at no less than ``SLOW`` times its own pace before;
* ``slows``: more slowly than that;
* ``stalls``: it ends inside the band;
* ``turns back``: it ends above it, having been inside;
* ``jumps``: one single iteration takes it from above the band to below;
* ``falls short``: it never reaches the band;
* ``diverges``: an iterate is not finite.

The exact gradient is 2.8 times as large at x = 0 as at x = 1: descent along it passes the band faster than before.

Only pairs of steps at which y follows y*(x) through the band say anything about the Hessian there: y is what it is
taken at. Which methods depend on it is not a matter of the Hessian alone, either: a Neumann sum of Q terms stands for
H⁻¹ and cannot come near it where H is small, whereas methods that solve the linear system step by step carry on.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from unibio.studies.common.curves import Array
from unibio.studies.common.evidence import Evidence
from unibio.studies.e1.search import MethodSearch, Pair, history_at, searches

#: Half-width of the band; the classical Hessian (p−1)|x|^((p−2)/(p−1)) of p = 4 is 1.2 at its edge, 2.7 at the start.
BAND = 0.25
#: Through the band slower than this times the pace before it: slowed. Exact descent speeds up.
SLOW = 0.5
#: Pairs looked at by :func:`shares`: upper steps between two values, lower steps from one on.
WINDOW = ((0.01, 0.1), 0.1)
#: y follows y*(x) where the median of |y − y*(x)| in the band is at most this part of |y*| at its edge.
FOLLOWS = 0.5

KINDS = ("passes", "slows", "stalls", "turns back", "jumps", "falls short", "diverges")


def iterate(value: Array) -> Array:
    """x in [−π/2, π/2] with sin(sin x) = φ."""
    inner = np.arcsin(np.clip(value, -1.0, 1.0))
    return np.arcsin(np.clip(inner, -1.0, 1.0))


def classify(iterations: Array, x: Array, completed: bool = True) -> tuple[str, float]:
    """Kind of a crossing and the pace in the band over the pace before (NaN where there is none).

    Args:
        iterations: (n,) logged iterations, from 0.
        x: (n,) iterates there, from above the band.
        completed: whether the run stayed finite.
    """
    if not completed:
        return "diverges", np.nan
    inside = np.flatnonzero(x <= BAND)
    if not len(inside):
        return "falls short", np.nan
    i = int(inside[0])
    if x[i] < -BAND and iterations[i] - iterations[i - 1] == 1:
        return "jumps", np.nan
    before = (x[0] - x[i]) / (iterations[i] - iterations[0])
    beyond = np.flatnonzero(x[i:] < -BAND)
    if not len(beyond):
        return ("turns back" if x[-1] > BAND else "stalls"), np.nan
    j = i + int(beyond[0])
    if j == i:  # through the band between two logged iterations: at the pace that brought it here
        return "passes", 1.0
    pace = float((x[i] - x[j]) / (iterations[j] - iterations[i]) / before)
    return ("slows" if pace < SLOW else "passes"), pace


def crossing(one: MethodSearch, at: Pair) -> tuple[str, float]:
    """The most frequent kind over the seeds of a pair, and the median pace of the runs of that kind."""
    status = one.record.runs["status"].to_numpy()
    found = []
    for run, rows in history_at(one, at).groupby("run"):
        x = iterate(rows["value"].to_numpy(dtype=float))
        found.append(classify(rows["iteration"].to_numpy(), x, status[int(str(run))] == "completed"))
    kinds = [kind for kind, _ in found]
    most = max(KINDS, key=kinds.count)
    return most, float(np.median([pace for kind, pace in found if kind == most]))


def follows(one: MethodSearch, at: Pair) -> bool:
    """Whether y follows y*(x) through the band, median over all logged iterates of all seeds there."""
    rows = history_at(one, at)
    inside = np.abs(iterate(rows["value"].to_numpy(dtype=float))) <= BAND
    error = rows["lower_error"].to_numpy(dtype=float)[inside]
    return bool(len(error)) and bool(np.median(error) <= FOLLOWS * np.sin(BAND) ** (1 / (one.exponent - 1)))


def terms(one: MethodSearch) -> int | None:
    """Q of a truncated Neumann sum of the classical Hessian; None for a method without one."""
    found = None if one.method == "unibio" else one.record.config["algorithm"].get("neumann_terms")
    return None if found is None else int(found)


def table(found: list[MethodSearch], cap: float) -> pd.DataFrame:
    """One row per method and exponent at its best pair up to a cap: kind, pace ratio, whether the pair converges."""
    rows = []
    for one in found:
        at = one.best(cap)
        kind, pace = ("diverges", np.nan) if at is None else crossing(one, at)
        row = {"p": one.exponent, "method": one.method, "cap": cap}
        row |= one.steps(at)
        rows.append(row | {"crossing": kind, "pace": pace, "converged": at is not None and bool(one.converged[at])})
    return pd.DataFrame(rows)


def shares(found: list[MethodSearch]) -> pd.DataFrame:
    """Which part of a method's pairs does what: one row per method and exponent, a column per kind.

    Over pairs with steps in ``WINDOW``, upper steps that reach x = 0 within the run without leaping over the band, at
    which y follows y*(x). ``pairs`` counts these, ``y behind`` the others in the window; ``Q`` is that of a truncated
    sum, and ``pace`` the median over the pairs.
    """
    rows = []
    for one in found:
        looked_at = window(one)
        seen = [crossing(one, at) for at in looked_at if follows(one, at)]
        kinds, paces = [kind for kind, _ in seen], [pace for _, pace in seen if np.isfinite(pace)]
        row = {"p": one.exponent, "method": one.method, "Q": terms(one)}
        row |= {"pairs": len(seen), "y behind": len(looked_at) - len(seen)}
        row |= {"pace": float(np.median(paces)) if paces else np.nan}
        rows.append(row | {kind: kinds.count(kind) / max(1, len(kinds)) for kind in KINDS})
    return pd.DataFrame(rows)


def window(one: MethodSearch) -> list[Pair]:
    """The pairs of steps in ``WINDOW`` but those at whose lower step everything diverges."""
    (low, high), least = WINDOW
    upper = np.flatnonzero((one.caps >= low * (1 - 1e-9)) & (one.caps <= high * (1 + 1e-9)))
    lower = np.flatnonzero((one.lower >= least * (1 - 1e-9)) & _some_finite(one, upper))
    return [(int(i), int(j)) for i in upper for j in lower]


def _some_finite(one: MethodSearch, upper: Array) -> Array:
    """(b,) lower steps at which at least one of some upper steps stays finite: beyond, everything diverges."""
    return np.asarray(np.isfinite(one.search.chosen_by[upper]).any(axis=0))


def shares_of(evidence: Evidence) -> pd.DataFrame:
    """:func:`shares` of Appendix E.1 without noise."""
    return evidence.once(_shares_of).copy()


def _shares_of(evidence: Evidence) -> pd.DataFrame:
    return shares(searches(evidence, "e1"))
