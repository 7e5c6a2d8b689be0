"""Corrupted labels: every method at its best configuration, by the outer loss at the end of one budget of calls."""

from __future__ import annotations

from collections.abc import Iterable

from unibio.store.thinning import Kept
from unibio.studies.common.claim import Claim
from unibio.studies.common.document import Block, Heading, Paragraph, Table
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.kinds import Kind
from unibio.studies.common.study import Study
from unibio.studies.corrupted_labels.figures import DRAWINGS
from unibio.studies.corrupted_labels.measures import EXPERIMENT, SOLVED, summary, touched
from unibio.studies.corrupted_labels.rules import bilevel_helps, first_order_keeps_up


def _blocks(evidence: Evidence) -> Iterable[Block]:
    table = summary(evidence)
    yield Heading(3, "Corrupted labels")
    yield Paragraph(
        "Every method at the best of its configurations that solve the lower level: those of the least outer loss over "
        f"the choosing seeds whose ‖g_W‖ ends at most at {SOLVED:g} times the start's. Medians over the judging seeds. "
        "A value at an end of its range may be better beyond it."
    )
    heads = ["wrong labels", "batch", "method", "tried", "chosen", "at an end", "outer loss", "test accuracy", "AUC"]
    yield Table(
        [*heads, "‖g_W‖", "calls", "seconds"],
        [
            [
                *(f"{row['rate']:.0%}", f"{row['batch']}", row["method"], f"{row['tried']}"),
                *(row["configuration"], row["edges"] or "–"),
                *(f"{row[name]:.3f}" for name in ("upper_loss", "test_accuracy", "cleaning_auc")),
                f"{row['lower_gradient_norm']:.2g}",
                *(f"{row['oracle_calls']:.0f}", f"{row['seconds']:.2g}"),
            ]
            for _, row in table.iterrows()
        ],
    )


STUDY = Study(
    experiments=(EXPERIMENT,),
    drawings=DRAWINGS,
    claims=(
        Claim(
            "labels-bilevel-helps",
            "With corrupted labels every bilevel method ends at a lower outer loss than training without bilevel "
            "optimisation, at both corruption rates and batch sizes.",
            Kind.SLIDES,
            "“Experiment” with corrupted labels: its figure, whose curves we do not have; ours on digits",
            bilevel_helps,
        ),
        Claim(
            "labels-first-order",
            "With corrupted labels the best first-order method ends no higher than the best one with second "
            "derivatives.",
            Kind.SLIDES,
            "“Experiment” with corrupted labels: its figure, whose curves we do not have; ours on digits",
            first_order_keeps_up,
        ),
    ),
    blocks=_blocks,
    kept=Kept(
        metrics=("test_accuracy", "upper_loss", "seconds"),
        finals=("lower_gradient_norm", "cleaning_auc"),
    ),
    caveats=(
        "With corrupted labels the outer loss is that of the W a method holds: BOME and other penalty methods move W "
        "itself towards the validation data, and a large ‖g_W‖ at the end says how far from a lower-level solution.",
        "Every method has the same number of configurations of its own parameters, chosen on seeds that do not judge. "
        "Which parameters these are, and their ranges, are ours.",
    ),
    touched=touched,
)
