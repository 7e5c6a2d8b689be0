"""The report's section on hyper-cleaning of sentence pairs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from unibio.analysis import nli
from unibio.analysis.nli import Group
from unibio.analysis.study import Study
from unibio.document import Block, Bullets, Heading, Paragraph, Table
from unibio.figures.nli import drawings
from unibio.report.section import Section


def blocks(study: Study) -> Iterable[Block]:
    """What was run on what, a table for every noise rate and exponent, controls, and what to keep in mind."""
    found = nli.compared(study)
    if found:
        yield Paragraph(_setting(found))
        table = nli.summary(found)
        for (p, rate), here in table.groupby(["p", "noise_rate"]):
            yield Heading(3, f"p = {p}, noise rate {rate:g}")
            yield Table(_HEADER, [_row(row) for _, row in here.sort_values(nli.ACCURACY, ascending=False).iterrows()])
    if study.records(nli.CONTROLS):
        yield Heading(3, "Plain training")
        yield Paragraph(
            "Test accuracy of minibatch gradient descent without weighting; brackets: range over the seeds."
        )
        rows = [[row["labels"], _ranged(row, nli.ACCURACY), row["seeds"]] for _, row in nli.controls(study).iterrows()]
        yield Table(["training labels", "test accuracy", "seeds"], rows)
    if study.records(nli.FLOOR):
        yield Heading(3, "The floor of D")
        yield Paragraph(
            "UniBiO with plain steps, p = 3: λ_max(D⁻¹∇²_yy g) at the first iterate, where a Neumann step c is stable "
            "below 2/λ_max, and where the run ends. Medians over the seeds. With D_δ = (p−1)·max(|w|, δ)^{p−2} and "
            "δ = ½, D is 1 wherever |w| < ½, nearly everywhere, and c means what it means for p = 2, where D is 1 "
            "whatever δ; smaller floors divide by weights that happen to be near 0."
        )
        yield Table(*_plain(nli.floors(study)))
    if study.records(nli.TUNING):
        yield Heading(3, "Step sizes that were tried")
        yield Paragraph(
            "Validation accuracy at the end, on a seed that no comparison uses; as many pairs and epochs for every "
            "method. The test split was not evaluated."
        )
        yield Table(*_plain(_best_and_range(nli.tuning(study))))
    if found:
        yield Heading(3, "What to keep in mind about these comparisons")
        yield Bullets(_caveats(found))


def _setting(found: Sequence[Group]) -> str:
    config = found[0].records[0].config
    problem, data = config["problem"], config["data"]
    return (
        f"Data: {nli.SOURCES.get(data['source'], data['source'])} (hash {str(config['data_hash'])[:12]}…): "
        f"{data['train']} training, {data['valid']} validation and {data['test']} test pairs, word vectors "
        f"“{_named(data['vectors'])}”; {problem['layers']} tanh layers of {problem['width']} units, max-pooled; "
        f"{config['epochs']:g} epochs, batches of {config['algorithm']['batch_size']}. Brackets: range over the seeds; "
        f"for the AUC the {nli.CONFIDENCE:.0%} interval of its mean. *Gain* is over the frozen twin, seed by seed."
    )


def _named(vectors: str) -> str:
    """A kind of vectors; of a file no more than its name, since where it lies is nobody's business."""
    return vectors.replace("\\", "/").rsplit("/", 1)[-1]


_HEADER = ["method", "test accuracy", "frozen twin", "gain", "train (true)", "train (noisy)", "AUC", "precision"]
_HEADER += ["spread of σ(λ)", "calls", "seconds", "diverged"]


def _row(row: pd.Series) -> list[str | float]:
    return [
        row["method"],
        _ranged(row, nli.ACCURACY),
        f"{row['frozen_test_accuracy']:.3f}",
        f"{row['gain']:+.3f} [{row['gain_min']:+.3f}, {row['gain_max']:+.3f}]".replace("-", "−"),
        f"{row['train_accuracy']:.3f}",
        f"{row['noisy_accuracy']:.3f}",
        _ranged(row, nli.AUC, "low", "high"),
        f"{row['cleaning_precision']:.3f}",
        f"{row[nli.SPREAD]:.3f}",
        f"{row['oracle_calls']:.0f}",
        f"{row['seconds']:.1f}",
        f"{row['diverged']} of {row['seeds']}",
    ]


def _ranged(row: pd.Series, column: str, low: str = "min", high: str = "max") -> str:
    if not math.isfinite(row[column]):
        return "–"
    return f"{row[column]:.3f} [{row[f'{column}_{low}']:.3f}, {row[f'{column}_{high}']:.3f}]"


def _plain(table: pd.DataFrame) -> tuple[list[str], list[list[str | float]]]:
    names = [str(name).replace("_", " ") for name in table.columns]
    return names, [list(row) for row in table.itertuples(index=False)]


def _best_and_range(table: pd.DataFrame) -> pd.DataFrame:
    """The chosen steps, with the worst and the best validation accuracy of all that were tried."""
    chosen = table[table["chosen"]].set_index("method")[["upper_step", "lower_step", "valid_accuracy", "cleaning_auc"]]
    by_method = table.groupby("method", sort=False)
    chosen["least"] = by_method["valid_accuracy"].min()
    chosen["tried"] = by_method.size()
    chosen["diverged"] = by_method["status"].apply(lambda status: int((status != "completed").sum()))
    for name in ("upper_step", "lower_step"):
        low, high = by_method[name].min(), by_method[name].max()
        chosen[f"{name}_at_end"] = [
            "low" if chosen[name][m] == low[m] else ("high" if chosen[name][m] == high[m] else "") for m in chosen.index
        ]
    return chosen.reset_index()


def _caveats(found: Sequence[Group]) -> list[str]:
    learned = [group for group in found if group.weights == "learned"]
    flat = [group for group in learned if not group.separates()]
    said = [
        "The paper's runs have 4096 units, 10,000 pairs, 300-d vectors and 20 epochs on a GPU, with steps at which λ "
        "hardly moves; these verdicts are about the configuration above. The output layer has three classes here.",
        "A network's lower level is not convex: uniform convexity holds for the regulariser alone. The Hessian is "
        "regular at w = 0, so that D, floored, is a preconditioner and nothing else.",
        "An epoch counts lower-level gradients alone; oracle calls and seconds count everything. Seconds are by the "
        "clock, of runs side by side on a machine that may have had other work: a rough measure. The frozen twins skip "
        "derivatives that are 0 and so are quick.",
        "Every seed has its own flips, initial weights and minibatches; the pairs are the same. Every method was tuned "
        "with as many pairs of steps, on one seed; momentum, Neumann length and inner steps are the paper's, the steps "
        "of Neumann sums and auxiliary iterates are ours except at scale=paper.",
    ]
    chance = 1 / 3 + 3 * math.sqrt(2 / 9 / int(found[0].records[0].config["data"]["test"]))
    lost = [group for group in learned if (group.final() < chance).any()]
    if lost:
        names = ", ".join(dict.fromkeys(group.label for group in lost))
        said.append(
            f"On some seed no better than chance at the end: {names}. The steps that were best on the tuning seed lie "
            "at the edge of stability, so that these methods may be capable of more."
        )
    if flat:
        names = ", ".join(dict.fromkeys(group.label for group in flat))
        said.append(
            f"AUC not above ½ beyond its interval somewhere: {names}. There an accuracy compares lower-level steps and "
            "weights that moved at random, not weighting."
        )
    if any(group.source == "directory" for group in found):
        said.append("The pairs were read from files: they are SNLI where the files are SNLI's (see the data's hash).")
    if any(group.source == "generated" for group in found):
        said.append(
            "**The pairs were generated by a grammar of ours. They are not SNLI, and no claim about it is judged.**"
        )
    return said


SECTION = Section(
    title="Hyper-cleaning of sentence pairs with a recurrent network",
    experiments=(nli.MAIN, nli.NOISE, nli.EXPONENTS, nli.CONTROLS, nli.TUNING, nli.TUNING_SABA, nli.FLOOR),
    figures=tuple(drawing.name for drawing in drawings()),
    blocks=blocks,
)
