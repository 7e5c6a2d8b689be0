"""What is asked of UniBiO without p, and the table that the answers rest on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from unibio.studies.common.evidence import Evidence
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.studies.unknown_exponent.measures import FAIR, OWN, Cell, Runs, accuracies, gathered, ratio

#: The goal: at most this many times the fair baseline's calls, in this share of the cells, and no failure.
WITHIN, SHARE = 2.0, 0.8
#: Judging seeds that an interval needs.
SEEDS = 10
#: A median that is not finite: more than half of the judging seeds do not get there.
FAILS = math.inf
#: How methods are called that were told another p than the problem's.
WRONG = "told "


def table(evidence: Evidence) -> pd.DataFrame:
    """cell, held_out, accuracy (1, 2), epsilon, method, calls, settings; ratio, low, high of UniBiO without p to it.

    Every cell, accuracy and method has a row; calls are inf where more than half of the judging seeds never get there,
    a ratio is inf where UniBiO without p does not, and 0 where the other does not.
    """
    return evidence.once(_table)


def _table(evidence: Evidence) -> pd.DataFrame:
    rows = []
    for cell, by_method in gathered(evidence).items():
        for place, accuracy in enumerate(accuracies(evidence, cell), start=1):
            judged = {name: runs.judged(accuracy) for name, runs in by_method.items()}
            for name, calls in judged.items():
                row = {"cell": cell.label, "held_out": cell.held_out, "accuracy": place, "epsilon": accuracy}
                row |= {"method": name, "calls": float(pd.Series(calls).quantile(0.5, interpolation="higher"))}
                row |= {"settings": len(by_method[name].settings), "judges": len(calls)}
                middle, low, high = ratio(judged[OWN], calls) if OWN in judged else (math.nan,) * 3
                rows.append(row | {"ratio": middle, "low": low, "high": high})
    columns = [
        "cell",
        "held_out",
        "accuracy",
        "epsilon",
        "method",
        "calls",
        "settings",
        "judges",
        "ratio",
        "low",
        "high",
    ]
    return pd.DataFrame(rows, columns=columns)


def _why_not(evidence: Evidence, cells: Sequence[Cell], names: Sequence[str]) -> str:
    """Why cells cannot be judged, as a clause; "" where they can."""
    found = gathered(evidence)
    if not cells:
        return "none of the cells was run"
    for cell in cells:
        for name in names:
            runs: Runs | None = found[cell].get(name)
            if runs is None:
                return f"no records of {name} on {cell.label}"
            if len(runs.judges) < SEEDS or runs.choosing == runs.seeds:
                return f"fewer than {SEEDS} seeds judge on {cell.label}"
        if not all(math.isfinite(accuracy) for accuracy in accuracies(evidence, cell)):
            return f"the fair baseline diverged on {cell.label}"
    return ""


def _goal(evidence: Evidence, wanted: Callable[[Cell], bool]) -> Outcome:
    cells = [cell for cell in gathered(evidence) if wanted(cell)]
    if why := _why_not(evidence, cells, (OWN, FAIR)):
        return Outcome(NOT_TESTABLE, why)
    found = table(evidence)
    fair = found[(found["method"] == FAIR) & found["cell"].isin([cell.label for cell in cells])]
    if not all(map(math.isfinite, fair["calls"])):
        return Outcome(NOT_TESTABLE, "the fair baseline's judging seeds do not reach its own accuracies")
    if not all(fair["calls"] > 0):
        return Outcome(NOT_TESTABLE, "the fair baseline's own accuracy is no better than the start")
    own = found[(found["method"] == OWN) & found["cell"].isin(fair["cell"])]
    within, failed = int((fair["ratio"] <= WITHIN).sum()), int((own["calls"] == FAILS).sum())
    sure = int((fair["high"] <= WITHIN).sum())
    text = (
        f"at most {WITHIN:g} times the fair baseline's calls in {within} of {len(fair)} cells and accuracies ({sure} "
        f"with the whole interval), {failed} not reached; median ratio {fair['ratio'].median():.2g}"
    )
    worst = fair.sort_values("ratio").iloc[-1]
    text += f", largest {worst['ratio']:.3g} ({worst['cell']}, accuracy {worst['accuracy']})"
    numbers = {"within": within, "of": len(fair), "failed": failed, "sure": sure}
    yes = within >= SHARE * len(fair) and failed == 0
    return Outcome(REPRODUCED if yes else NOT_REPRODUCED, text, numbers)


def goal(evidence: Evidence) -> Outcome:
    """Whether UniBiO without p is within ``WITHIN`` of the fair baseline in ``SHARE`` of all cells, and never fails."""
    return _goal(evidence, lambda cell: True)


def held_out(evidence: Evidence) -> Outcome:
    """The same of the cells that no constant was chosen with."""
    return _goal(evidence, lambda cell: cell.held_out)


def misinformed(evidence: Evidence) -> Outcome:
    """Whether UniBiO without p needs fewer calls than the fair baseline told a wrong p', in most cases.

    A case is a cell, an accuracy and a wrong p'. What is told has the fair baseline's settings to choose from, and the
    choosing seeds choose them for each p'. A case in which neither gets there counts against the claim.
    """
    found = gathered(evidence)
    cells = [cell for cell, by in found.items() if any(name.startswith(WRONG) for name in by)]
    for cell in cells:
        told = sorted(name for name in found[cell] if name.startswith(WRONG))
        if why := _why_not(evidence, [cell], (OWN, FAIR, *told)):
            return Outcome(NOT_TESTABLE, why)
        for name in told:
            if _settings(found[cell], name) != _settings(found[cell], FAIR):
                return Outcome(NOT_TESTABLE, f"{name} has other settings than the fair baseline on {cell.label}")
    rows = table(evidence)
    wrong = rows[rows["method"].str.startswith(WRONG)]
    if wrong.empty:
        return Outcome(NOT_TESTABLE, "nothing that was told a wrong p was run")
    own = rows[rows["method"] == OWN].set_index(["cell", "accuracy"])["calls"]
    without = own.loc[pd.MultiIndex.from_frame(wrong[["cell", "accuracy"]])].to_numpy()
    fewer, of, lost = int((without < wrong["calls"]).sum()), len(wrong), int((wrong["calls"] == FAILS).sum())
    text = f"fewer calls without p in {fewer} of {of} cells, accuracies and wrong p', of which {lost} are not reached"
    text += " by what was told it"
    return Outcome(
        REPRODUCED if fewer > of / 2 else NOT_REPRODUCED, text, {"fewer": fewer, "of": of, "not_reached": lost}
    )


def _settings(by_method: Mapping[str, Runs], name: str) -> list[list[tuple[str, float]]]:
    """What a method may choose from, whatever it was told."""
    every = ({k: v for k, v in one.items() if k != "assumed_exponent"} for one in by_method[name].settings)
    return sorted(sorted(one.items()) for one in every)
