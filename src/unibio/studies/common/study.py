"""What a study is: all that is downstream of its records, in one place.

A study needs its experiments, and some of a figure, a claim and a section of the report::

    STUDY = Study(
        experiments=("settling",),
        drawings=(Drawing("settling", "The level at which UniBiO settles.", draw),),
        claims=(Claim("settling-level", "The level is proportional to the step.", "ours", proportional),),
    )

Figures and claims rest on all the study's experiments unless they name their own, and a claim is shown by the study's
first figure unless it names another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unibio.store.records import Record
from unibio.store.thinning import USUAL, Kept
from unibio.studies.common.claim import Claim
from unibio.studies.common.document import Block
from unibio.studies.common.drawing import Drawing
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.trials import Caps, Steps
from unibio.studies.common.widening import Touched


def _nothing(evidence: Evidence) -> Iterable[Block]:
    return ()


def _none(evidence: Evidence, experiment: str, record: Record) -> None:
    return None


def no_curves(evidence: Evidence, experiment: str, record: Record) -> NDArray[np.bool_]:
    """For :attr:`Study.shown`, of a study that reads where runs begin and how they end, and nothing between."""
    return np.zeros(len(record.runs), dtype=bool)


@dataclass(frozen=True)
class Study:
    """One study: everything downstream of its records.

    Attributes:
        experiments: whose records it reads, as ``conf/experiment`` names them.
        drawings: its figures, in the order in which the report shows them.
        claims: what it judges.
        blocks: from the evidence to tables and remarks for the report, below headings of level 3 and deeper. It is
            called where some of ``experiments`` have records and must cope with others missing; an InputError or a
            MissingRecordsError that it raises is printed in its place.
        caveats: what a reader has to keep in mind.
        kept: what its figures, tables and rules read of histories: so much is published (see
            :mod:`unibio.store.thinning`). One for all experiments, or one for each.
        shown: of the evidence, an experiment and a record of it, the runs whose curves a figure shows or a rule reads;
            None for all of them. Of the others only where they begin and how they end is published.
        places: of the same, the rows of its history that a rule or a table reads besides the ends of runs that are not
            shown; None for none.
        tried: what the page's first figure lets the reader move; raises MissingRecordsError without records.
        touched: of one record, the searched ranges of steps that were too narrow; None where nothing is searched.
    """

    experiments: tuple[str, ...]
    drawings: tuple[Drawing, ...] = ()
    claims: tuple[Claim, ...] = ()
    blocks: Callable[[Evidence], Iterable[Block]] = _nothing
    caveats: tuple[str, ...] = ()
    kept: Kept | Mapping[str, Kept] = USUAL
    shown: Callable[[Evidence, str, Record], NDArray[np.bool_] | None] = _none
    places: Callable[[Evidence, str, Record], NDArray[np.bool_] | None] = _none
    tried: Callable[[Evidence], Steps | Caps] | None = None
    touched: Callable[[Record], list[Touched]] | None = None

    def __post_init__(self) -> None:
        """Fill in what figures and claims leave to the study."""
        first = self.drawings[0].name if self.drawings else ""
        drawings = [replace(one, experiments=one.experiments or self.experiments) for one in self.drawings]
        claims = [
            replace(one, experiments=one.experiments or self.experiments, figure=one.figure or first)
            for one in self.claims
        ]
        object.__setattr__(self, "drawings", tuple(drawings))
        object.__setattr__(self, "claims", tuple(claims))

    def reads(self, experiment: str) -> Kept:
        """What it reads of one experiment's histories."""
        return self.kept if isinstance(self.kept, Kept) else self.kept[experiment]


@dataclass(frozen=True)
class Part:
    """A part of the report: studies under one heading."""

    title: str
    studies: tuple[Study, ...]

    @property
    def experiments(self) -> tuple[str, ...]:
        """Of all its studies, each once."""
        return tuple(dict.fromkeys(name for study in self.studies for name in study.experiments))
