"""How many claims came out how, by whose they are: the headline of the page, of the Markdown and of the terminal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from unibio.errors import InputError
from unibio.studies.common.kinds import Kind
from unibio.studies.common.verdicts import NOT_RUN, VERDICTS


class Counted(NamedTuple):
    """What is counted of a claim: its kind, its verdict and the scale of its records."""

    kind: Kind
    verdict: str
    scale: str


def is_reduced(claim: Counted) -> bool:
    """Whether there are records and they are of another scale than the paper's."""
    return claim.scale != "paper" and claim.verdict != NOT_RUN


def counted(claims: Iterable[Counted]) -> dict[Kind, str]:
    """Of every kind that occurs, the paper's first, how many claims came out how: "reproduced 4, not reproduced 1"."""
    listed = list(claims)
    found = {kind: [claim for claim in listed if claim.kind == kind] for kind in Kind}
    return {kind: _one_kind(mine) for kind, mine in found.items() if mine}


def _one_kind(claims: list[Counted]) -> str:
    """Verdicts at a reduced scale, and claims that were not run, are counted apart."""
    reduced = [claim for claim in claims if is_reduced(claim)]
    missing = [claim for claim in claims if claim.verdict == NOT_RUN]
    full = [claim for claim in claims if claim not in reduced and claim not in missing]
    said = []
    if full:
        said.append(("at full scale " if reduced else "") + _verdicts(full))
    if reduced:
        said.append(
            f"at a reduced scale ({', '.join(sorted({claim.scale for claim in reduced}))}) {_verdicts(reduced)}"
        )
    if missing:
        said.append(_verdicts(missing))
    return "; ".join(said)


def _verdicts(claims: list[Counted]) -> str:
    counts = Counter(claim.verdict for claim in claims)
    return ", ".join(f"{word} {counts[word]}" for word in VERDICTS if counts[word])


def headline(out: Path) -> list[str]:
    """The counts of a report that was written, a line a kind, the paper's first.

    Args:
        out: holds ``claims.json``.

    Raises:
        InputError: it does not, or of another version.
    """
    path = out / "claims.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["claims"]
        counts = counted(Counted(Kind(one["kind"]), one["verdict"], one["scale"]) for one in found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not what `unibio report` writes today ({error}); write it anew.") from None
    return [f"{kind.label}: {text}" for kind, text in counts.items()]
