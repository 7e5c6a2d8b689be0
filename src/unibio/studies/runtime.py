"""Running time and inner iterations of UniBiO for each exponent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from unibio.store.records import Record
from unibio.store.thinning import Kept
from unibio.studies.common.claim import Claim
from unibio.studies.common.comparisons import every
from unibio.studies.common.document import Block, Heading, frame_table
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import CALLS, Evidence, column, dimension, exponent
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import EXPONENTS, NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.studies.common.words import listed

EXPERIMENT = "runtime"


def epoch_sgd_steps(p: float, budget: int, first_length: float) -> int:
    """Lower-level steps one call of Epoch-SGD takes (Algorithm 1), written independently of the algorithm's code.

    Epochs of ⌊T_k⌋ steps, T_{k+1} = 2^τ T_k with τ = 2(p−1)/p, as long as T_1 + … + T_k ≤ K.
    """
    steps, used, k = 0, 0.0, 0
    while used + (length := first_length * 2 ** (2 * (p - 1) / p * k)) <= budget:
        steps, used, k = steps + math.floor(length), used + length, k + 1
    return steps


def inner_iterations(record: Record) -> float:
    """Average lower gradients per call of Epoch-SGD over the completed runs; nan where none completed."""
    runs = record.runs[record.runs["status"] == "completed"]
    calls = 1 + (runs["stopped_at"].to_numpy() - 1) // int(record.config["algorithm"]["period"])
    return float(np.mean(runs["grad_lower"].to_numpy() / calls)) if len(runs) else math.nan


def costs(records: Sequence[Record]) -> pd.DataFrame:
    """Running time and inner iterations, one row per record.

    Returns:
        p, dimension, iterations T, seconds (median of the repeats), seconds_min, seconds_max, repeats,
        inner_iterations (measured), inner_expected (from the schedule), oracle_calls per run.
    """
    rows = []
    for record in records:
        algorithm = record.config["algorithm"]
        seconds = record.summary.get("seconds_repeats") or [record.summary["seconds"]]
        rows.append(
            {
                "p": exponent(record),
                "dimension": dimension(record),
                "iterations": int(record.config["steps"]),
                "seconds": float(np.median(seconds)),
                "seconds_min": float(np.min(seconds)),
                "seconds_max": float(np.max(seconds)),
                "repeats": len(seconds),
                "inner_iterations": inner_iterations(record),
                "inner_expected": epoch_sgd_steps(
                    exponent(record), int(algorithm["inner_budget"]), float(algorithm["first_length"])
                ),
                "oracle_calls": float(np.median(sum(column(record, kind, "runs").to_numpy() for kind in CALLS))),
            }
        )
    return pd.DataFrame(rows)


def as_scheduled(evidence: Evidence) -> Outcome:
    """Whether the recorded lower gradients per Epoch-SGD call are those of the schedule; with the running times."""
    found = costs(evidence.require(EXPERIMENT)).set_index("p")
    same = np.isclose(found["inner_iterations"], found["inner_expected"])
    seconds = found["seconds"]
    numbers = {key: found[key].to_dict() for key in ("inner_iterations", "inner_expected", "seconds")}
    text = (
        f"inner iterations {', '.join(f'{v:.4g}' for v in found['inner_iterations'])} for p = {listed(found.index)} "
        f"(expected {listed(found['inner_expected'])}); running time of one run, median of "
        f"{found['repeats'].iloc[0]}: {', '.join(f'{v:.3g} s' for v in seconds)}, largest over smallest "
        f"{seconds.max() / seconds.min():.2f}"
    )
    return Outcome(REPRODUCED if every(same) else NOT_REPRODUCED, text, numbers)


def grows(evidence: Evidence) -> Outcome:
    """Never more than "not testable", beside the running times that the records have: K is the same for every p."""
    records = evidence.require(EXPERIMENT)
    seconds = costs(records).set_index("p")["seconds"]
    budgets = sorted({int(record.config["algorithm"]["inner_budget"]) for record in records})
    values = ", ".join(f"{v:.3g}" for v in seconds)
    text = (
        f"K was set to {listed(budgets)} and not by Theorem C.5, whose K for an accuracy ε is ∝ ε^(−2p+2); it is by "
        f"that choice that a larger p costs more. At this K there are seconds a run: {values} for p = "
        f"{listed(seconds.index)}. The paper's own numbers are lost to us. Inner iterations with the K of one accuracy "
        "are judged by themselves; seconds depend on the machine"
    )
    return Outcome(NOT_TESTABLE, text, {"inner_budget": budgets, "seconds": seconds.to_dict()})


def table(evidence: Evidence) -> Drawn:
    """No picture."""
    return Drawn(None, {"runtime": costs(evidence.require(EXPERIMENT))})


def _blocks(evidence: Evidence) -> Iterable[Block]:
    yield Heading(3, "Running time and inner iterations")
    yield frame_table(costs(evidence.require(EXPERIMENT)).drop(columns="dimension"))


STUDY = Study(
    experiments=(EXPERIMENT,),
    kept=Kept(metrics=()),  # seconds of a job stand in its summary
    drawings=(
        Drawing(
            "runtime",
            "Running time and average inner iterations per p (a table).",
            table,
            title="What a larger p costs in running time and inner iterations",
        ),
    ),
    claims=(
        Claim(
            "running-time-grows",
            "With K chosen by Theorem C.5 a larger p significantly increases UniBiO's running time.",
            Kind.PAPER,
            "Appendix E.3, Figure 5, whose running times are lost to us",
            grows,
            exponents=EXPONENTS,
        ),
        Claim(
            "inner-iterations",
            "Epoch-SGD takes 75, 59, 70, 77 lower-level steps a call for p = 2, 4, 6, 8 (K = 100, T₁ = 5).",
            Kind.QUESTION,
            "whether Algorithm 1 takes as many steps as its schedule says, counted by hand",
            as_scheduled,
            exponents=EXPONENTS,
        ),
    ),
    blocks=_blocks,
)
