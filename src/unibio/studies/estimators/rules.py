"""Whether D helps where the Hessian vanishes and hurts elsewhere, what the diagonal is worth, and its bias."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from unibio.studies.common.comparisons import every
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.studies.estimators.measures import ACCURATE, ESTIMATORS, Cell, Measured, measured

#: The Hessian is D on the first, and has nothing to do with it on the second.
VANISHING, REGULAR = ("coordinatewise", "hoelder"), ("lp_regression",)
#: Where it is not reached, one estimator is better than another by its error after all products.
BETTER = 2.0
#: By how much more products may be nearly the best: they are counted in powers of two.
NEARLY = 2.0
#: Standard errors of an interval of a mean over points.
SIGMAS = 3.0


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
