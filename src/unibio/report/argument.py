"""The page's first figure: what η does to the curves of each p, and what its cap does to a comparison of methods."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from unibio.errors import InputError
from unibio.studies import STUDIES
from unibio.studies.common.document import Block, Interactive, PageOnly, Paragraph
from unibio.studies.common.evidence import Evidence, MissingRecordsError
from unibio.studies.common.trials import Caps, Steps

_READ = (
    "Sliders stop at steps that were run. Lines are medians and bands quartiles over the seeds; below a chart stands "
    "each p's average over its iterations."
)


def blocks(evidence: Evidence) -> Iterable[Block]:
    """What the studies let the reader move, where their records are there; the page alone has it."""
    found = list(_found(evidence))
    beside = [one for one in found if isinstance(one, Steps) and one.records]
    if beside:
        about = " ".join(["What η does, to try.", *(one.about for one in beside), _READ])
        with suppress(InputError):  # records with more in them than the figure has sliders for
            yield _block(about, "steps", "η for each p", steps(beside))
    for one in found:
        if isinstance(one, Caps):
            yield _block(f"What the cap on η does, to try. {one.about}", "caps", "methods by the cap on η", one.data())


def steps(beside: list[Steps]) -> dict[str, Any]:
    """Problems side by side, at the noises that all of them have, or at the first one's where there are none.

    Returns:
        ``noises`` by name and ``problems``, see :class:`Steps`.
    """
    noises = [noise for noise in beside[0].records if all(noise in one.records for one in beside)]
    if not noises:
        beside, noises = beside[:1], list(beside[0].records)
    names = ["no noise" if noise == 0 else f"noise of variance {noise:g}" for noise in noises]
    return {"noises": names, "problems": [one.data(noises) for one in beside]}


def _found(evidence: Evidence) -> Iterator[Steps | Caps]:
    for study in STUDIES:
        try:
            if study.tried is not None:
                yield study.tried(evidence)
        except (MissingRecordsError, InputError):  # said where its figures are
            continue


def _block(about: str, kind: str, title: str, data: dict[str, Any]) -> Block:
    packed = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return PageOnly([Paragraph(about), Interactive(kind, title, packed, opened=True)])
