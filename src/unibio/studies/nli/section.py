"""The report's section on hyper-cleaning of sentence pairs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from unibio.store.records import Record
from unibio.studies.common.document import KEEP_IN_MIND, Beside, Block, Bullets, Heading, Paragraph, Table
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.statistics import CONFIDENCE
from unibio.studies.nli.around import STEPS, VALID, controls, floors, released, tuning
from unibio.studies.nli.caveats import caveats
from unibio.studies.nli.groups import (
    ACCURACY,
    AUC,
    CONTROLS,
    FLOOR,
    RELEASED,
    SPREAD,
    WIDTH,
    compared,
    searched,
    summary,
)
from unibio.studies.nli.setting import data_name, departures, settings, told, vectors_name
from unibio.studies.nli.widths import accuracies


def blocks(evidence: Evidence) -> Iterable[Block]:
    """What was run on what, a table for every noise rate and exponent, what lies around them, and what to
    keep in mind."""
    found = compared(evidence)
    if found:
        yield from _settings([record for group in found for record in group.records])
        table = summary(found)
        for (p, rate), here in table.groupby(["p", "noise_rate"]):
            yield Heading(3, f"p = {p}, noise rate {rate:g}")
            yield Table(_HEADER, [_row(row) for _, row in here.sort_values(ACCURACY, ascending=False).iterrows()])
    if evidence.records(WIDTH):
        yield Heading(3, "The width of the network")
        yield Paragraph(
            "Learned weights at noise rate 0.1, p = 3. *Rank*: by test accuracy among the methods of that width, 1 the "
            "highest, mean over the seeds. Brackets: range over the seeds."
        )
        header = ["units", "method", "test accuracy", "rank", "of", "diverged"]
        yield Table(header, [_width_row(row) for _, row in accuracies(evidence).iterrows()])
    if evidence.records(CONTROLS):
        yield Heading(3, "Plain training")
        yield Paragraph(
            "Test accuracy of minibatch gradient descent without weighting: weights stay equal (spread 0, AUC ½). "
            "Brackets: range over the seeds."
        )
        rows = [
            [row["labels"], _ranged(row, ACCURACY), _number(row[AUC]), _number(row[SPREAD]), row["seeds"]]
            for _, row in controls(evidence).iterrows()
        ]
        yield Table(["training labels", "test accuracy", "AUC", "spread of σ(λ)", "seeds"], rows)
    if evidence.records(RELEASED):
        yield Heading(3, "The released code's noise")
        yield Paragraph(
            "Labels flipped anew at every access, validation labels, too, as the released code does: no pair stays "
            "flipped, there is nothing to clean, and the AUC of weights is not defined. *Once* is the same method at "
            "the same rate with training labels flipped once."
        )
        header = ["method", "rate", "test accuracy", "once", "frozen twin", "gain", "AUC", "spread of σ(λ)", "diverged"]
        yield Table(header, [_released_row(row) for _, row in released(evidence).iterrows()])
    if evidence.records(FLOOR):
        yield Heading(3, "The floor of D")
        yield Paragraph(
            "UniBiO at p = 3. D_δ = (p−1)·max(|w|, δ)^{p−2} preconditions the Neumann sum. At δ = ½, the floor of all "
            "other experiments, D is 1 wherever |w| < ½, and the sum is the classical one; the smaller δ, the more D "
            "acts. λ_max is that of D⁻¹∇²_yy g at the first iterate; a Neumann step c is stable while λ_max·c < 2, and "
            "c falls with the floor. Medians, brackets: range over the seeds, which all floors share."
        )
        header = ["method", "floor", "c", "λ_max", "λ_max·c", "validation accuracy", "AUC", "spread of σ(λ)"]
        yield Table([*header, "diverged"], [_floor_row(row) for _, row in floors(evidence).iterrows()])
    if searched(evidence):
        yield Heading(3, "Step sizes that were tried")
        table = tuning(evidence)
        yield Paragraph(
            f"Validation accuracy at the end, over {int(table['seeds'].max())} seeds that no comparison uses: the pair "
            "of steps whose least is highest was chosen. *Least of all*: the range of the leasts over all pairs that "
            "did not diverge. *Edge*: the end of its range at which a chosen step lies, beyond which better ones may "
            "be. The test split was not evaluated."
        )
        header = ["method", "upper step", "lower step", "edge", "least", "median", "least of all", "AUC"]
        yield Table([*header, "spread of σ(λ)", "tried", "diverged"], _tuning_rows(table))
    if found:
        said = caveats(evidence, found)
        yield Beside(KEEP_IN_MIND, [Heading(3, f"{KEEP_IN_MIND} about these comparisons"), Bullets(said)])


def _settings(found: Sequence[Record]) -> Iterable[Block]:
    """A paragraph and the data's own lines for every setting that occurs."""
    for record in settings(found):
        yield Paragraph(_setting(record))
        yield Bullets(_data(record))
    yield Paragraph(
        f"Brackets: range over the seeds; for the AUC the {CONFIDENCE:.0%} interval of its mean. *Gain* is over "
        "the frozen twin, seed by seed."
    )
    if unlike := departures(found):
        yield Paragraph(f"Unlike the paper: {', '.join(unlike)}. Verdicts say so.")


def _setting(record: Record) -> str:
    config = record.config
    problem, data = config["problem"], config["data"]
    return (
        f"Data: {data_name(record)}: {data['train']} training, {data['valid']} validation and "
        f"{data['test']} test pairs, word vectors “{vectors_name(data['vectors'])}”; {problem['layers']} tanh "
        f"layers of {problem['width']} units, max-pooled; {config['epochs']:g} epochs, batches of "
        f"{config['algorithm']['batch_size']}."
    )


def _data(record: Record) -> list[str]:
    """The hash of the data's content and what else the record tells of them."""
    noted = told(record)
    lines = [f"sha256 of the content: `{record.config['data_hash']}`"]
    if noted.get("coverage") is not None:
        lines.append(f"{noted['coverage']:.2%} of the tokens have a vector")
    return lines + [str(line) for line in noted.get("description") or ()]


_HEADER = ["method", "test accuracy", "frozen twin", "gain", "train (true)", "train (noisy)", "AUC", "precision"]
_HEADER += ["spread of σ(λ)", "calls", "seconds", "diverged"]


def _row(row: pd.Series) -> list[str | float]:
    return [
        row["method"],
        _ranged(row, ACCURACY),
        _number(row["frozen_test_accuracy"]),
        _gain(row),
        _number(row["train_accuracy"]),
        _number(row["noisy_accuracy"]),
        _ranged(row, AUC, "low", "high"),
        _number(row["cleaning_precision"]),
        _number(row[SPREAD]),
        f"{row['oracle_calls']:.0f}",
        f"{row['seconds']:.1f}",
        _diverged(row),
    ]


def _released_row(row: pd.Series) -> list[str | float]:
    rate = f"{row['noise_rate']:g}"
    accuracies = [_ranged(row, ACCURACY), _ranged(row, f"once_{ACCURACY}")]
    twin = [_number(row["frozen_test_accuracy"]), _gain(row)]
    return [row["method"], rate, *accuracies, *twin, _number(row[AUC]), _number(row[SPREAD]), _diverged(row)]


def _floor_row(row: pd.Series) -> list[str | float]:
    step, largest = f"{row['neumann_step']:.3g}", f"{row['lambda_max']:.4g}"
    ends = [_ranged(row, VALID), _ranged(row, AUC), _number(row[SPREAD])]
    return [row["method"], f"{row['floor']:g}", step, largest, f"{row['lambda_max_c']:.2f}", *ends, _diverged(row)]


def _width_row(row: pd.Series) -> list[str | float]:
    rank = "–" if math.isnan(row["rank"]) else f"{row['rank']:.1f}"
    return [row["width"], row["method"], _ranged(row, ACCURACY), rank, row["of"], _diverged(row)]


def _tuning_rows(table: pd.DataFrame) -> list[list[str | float]]:
    """The chosen pair of every method, beside how all pairs did."""
    rows: list[list[str | float]] = []
    for method, here in table.groupby("method", sort=False):
        spans = f"[{_number(here['valid_least'].min())}, {_number(here['valid_least'].max())}]"
        runs = f"{here['diverged'].sum()} of {here['seeds'].sum()}"
        for _, row in here[here["chosen"]].iterrows():
            edges = [f"{row[f'{which}_edge']} ({which})" for which in ("upper", "lower") if row[f"{which}_edge"]]
            steps = ["–" if math.isnan(row[name]) else f"{row[name]:g}" for name in STEPS]
            leasts = [_number(row["valid_least"]), _number(row["valid_median"]), spans]
            signs = [_number(row[AUC]), _number(row[SPREAD])]
            rows.append([str(method), *steps, ", ".join(edges) or "–", *leasts, *signs, len(here), runs])
        if not here["chosen"].any():
            rows.append([str(method), *("–" for _ in range(8)), len(here), runs])
    return rows


def _diverged(row: pd.Series) -> str:
    return f"{row['diverged']} of {row['seeds']}"


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"


def _gain(row: pd.Series) -> str:
    if not math.isfinite(row["gain"]):
        return "–"
    return f"{row['gain']:+.3f} [{row['gain_min']:+.3f}, {row['gain_max']:+.3f}]".replace("-", "−")


def _ranged(row: pd.Series, column: str, low: str = "min", high: str = "max") -> str:
    if not math.isfinite(row[column]):
        return "–"
    return f"{row[column]:.3f} [{row[f'{column}_{low}']:.3f}, {row[f'{column}_{high}']:.3f}]"
