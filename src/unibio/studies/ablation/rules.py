"""When a part of UniBiO is said to help."""

from __future__ import annotations

from unibio.studies.ablation.measures import EXPONENTS, PARTS, PROBLEMS, WHOLE, Compared, comparisons, variants
from unibio.studies.common.effort import Effort, fairly
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.studies.common.words import finite

#: Judging seeds that a comparison takes.
LEAST_SEEDS = 3


def helps(evidence: Evidence, part: str) -> Outcome:
    """Whether a part helps on most of the problems and p, and harms on none."""
    found = comparisons(evidence, part)
    if absent := [f"{PROBLEMS[name]}, p = {p}" for name in PROBLEMS for p in EXPONENTS if (name, p) not in found]:
        return Outcome(NOT_TESTABLE, f"no records with and without {part}: {'; '.join(absent)}")
    text = f"without {part} ({PARTS[part]}) the criterion is larger by a factor of " + "; ".join(
        f"{problem}: " + ", ".join(f"{_said(found[name, p])} (p = {p})" for p in EXPONENTS)
        for name, problem in PROBLEMS.items()
    )
    numbers = {
        f"{PROBLEMS[name]}, p = {p}": [finite(one.ratio), finite(one.low), finite(one.high), one.state]
        for (name, p), one in found.items()
    }
    states = [one.state for one in found.values()]
    helped, harmed, untold = states.count(1), states.count(-1), states.count(None)
    text += f"; helps in {helped}, harms in {harmed}, not told in {untold} of {len(states)}"
    if 2 * helped > len(states) and not harmed:
        verdict = REPRODUCED
    elif harmed or 2 * (helped + untold) <= len(states):
        verdict = NOT_REPRODUCED
    else:
        verdict = NOT_TESTABLE
    return fairly(Outcome(verdict, text, numbers), _efforts(evidence, part), LEAST_SEEDS)


def _said(one: Compared) -> str:
    if one.low != one.low:  # NaN
        return f"{one.ratio:.3g} [{one.why}]"
    return f"{one.ratio:.3g} [{one.low:.3g}, {one.high:.3g}{f'; {one.why}' if one.why else ''}]"


def _efforts(evidence: Evidence, part: str) -> dict[str, dict[str, Effort]]:
    return {
        f"{PROBLEMS[name]}, p = {p}": {side: by_part[side].search.effort() for side in (WHOLE, part) if side in by_part}
        for (name, p), by_part in variants(evidence).items()
    }
