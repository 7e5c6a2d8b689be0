"""The words of verdicts, what a rule returns, and the thresholds that several rules share.

A rule does not know whose claim it judges: the same one judges what the paper says and what we take further. It says
whether what is claimed is so in the words for sources, and the report has :func:`in_words` say it in those for the
claim's kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from unibio.studies.common.kinds import Kind

REPRODUCED = "reproduced"
CONFOUNDED = "reproduced only with the confound"
NOT_REPRODUCED = "not reproduced"
NOT_RUN = "not yet run"
CONSISTENT = "consistent"
VIOLATED = "violated"
NOT_TESTABLE = "not testable here"
#: What says yes to a claim; none of it may be said of an algorithm that is broken.
PASSED = (REPRODUCED, CONFOUNDED, CONSISTENT)

#: What is said of claims that are ours: nobody else made them, so that there is nothing to reproduce.
HOLDS = "holds"
HOLDS_CONFOUNDED = "holds only with the confound"
DOES_NOT_HOLD = "does not hold"
_OURS = {REPRODUCED: HOLDS, CONFOUNDED: HOLDS_CONFOUNDED, NOT_REPRODUCED: DOES_NOT_HOLD}

#: What rules return; and every word a report may print.
RETURNED = (REPRODUCED, CONFOUNDED, NOT_REPRODUCED, CONSISTENT, VIOLATED, NOT_TESTABLE, NOT_RUN)
VERDICTS = (*RETURNED[:3], *_OURS.values(), *RETURNED[3:])

#: The exponents of the paper's figures; most of its claims need all of them.
EXPONENTS = (2, 4, 6, 8)

#: A coordinate's gradient counts as small below this: a tenth of its largest value, max |cos u · cos(sin u)| = 1.
SMALL_GRADIENT = 0.1
#: Fraction of the seeds that must converge: leaves room for a rare bad seed, not for a second kind of behaviour.
MOST_SEEDS = 0.95
#: The last part of a run that must be small; one small iterate could be a passing minimum of a circling trajectory.
TAIL = 0.2
#: Two medians within this fraction are the same: about two iterations at the fastest first hit, 48.
SAME = 0.05


@dataclass(frozen=True)
class Outcome:
    """A verdict, the numbers behind it and what they say in words."""

    verdict: str
    explanation: str
    numbers: dict[str, Any] = field(default_factory=dict)


def in_words(verdict: str, kind: Kind) -> str:
    """What a rule returned, as it is said of claims of a kind.

    Args:
        verdict: one of ``RETURNED``.
        kind: of the claim.

    Raises:
        ValueError: it is none of them.
    """
    if verdict not in RETURNED:
        raise ValueError(f"a rule returned {verdict!r}; it may return {', '.join(RETURNED)}")
    return _OURS.get(verdict, verdict) if kind.ours else verdict
