"""What a claim is; claims stand in ``statements``, their rules in ``claims`` and the studies' modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unibio.analysis.claims import EXPONENTS, Outcome
from unibio.analysis.study import Study


@dataclass(frozen=True)
class Claim:
    """Something the paper says or shows, or a check of ours that its reading depends on.

    Attributes:
        id: stable short name.
        statement: in one sentence.
        source: where in the paper, or "ours".
        experiments: whose records the rule reads.
        figure: name of the figure that shows it.
        rule: from the study to the outcome.
        exponents: p of the records it needs.
    """

    id: str
    statement: str
    source: str
    experiments: tuple[str, ...]
    figure: str
    rule: Callable[[Study], Outcome]
    exponents: Sequence[int] = EXPONENTS
