"""A section of the report: what a study adds to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from unibio.analysis.study import Study
from unibio.document import Block


@dataclass(frozen=True)
class Section:
    """One study's part of the report: its tables and remarks, then its figures.

    Attributes:
        title: the heading.
        experiments: its records; without any of them the section only says how to make them.
        figures: names from :data:`unibio.figures.FIGURES`, in the order to show them.
        blocks: from the study to tables and remarks, below headings of level 3 and deeper; it is called only where
            some of ``experiments`` have records, and must cope with some of them missing. It reads records through
            the study alone and imports no torch.
        caveats: what a reader has to keep in mind, or nothing.
    """

    title: str
    experiments: tuple[str, ...]
    figures: tuple[str, ...]
    blocks: Callable[[Study], Iterable[Block]]
    caveats: tuple[str, ...] = ()
