"""What a line of a figure is called: by its own label, or by the entry of a legend that looks like it.

Legends are made by hand here, for several panels at once, so that an entry and a line are kin by their looks alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D


@dataclass(frozen=True)
class Look:
    """How a line or its points are drawn; ``dash`` is None where there is no line, () where it is solid."""

    colour: str
    dash: tuple[float, ...] | None
    width: float
    marker: str

    @property
    def grey(self) -> bool:
        """Whether it has no colour of its own."""
        return self.colour[1:3] == self.colour[3:5] == self.colour[5:7]

    def like(self, other: Look) -> bool:
        """Drawn alike but for the colour: lines by their dashes and width, points by their markers."""
        if self.dash is None or other.dash is None:
            return self.dash is other.dash and self.marker == other.marker
        return (self.dash, self.width) == (other.dash, other.width)


def look_of(line: Any) -> Look:
    """The look of a matplotlib line."""
    _, dash = getattr(line, "_unscaled_dash_pattern", (0, None))  # get_linestyle() forgets a pattern of one's own
    drawn = line.get_linestyle() not in ("None", "none", "", " ")
    marker = "" if line.get_marker() in ("None", "none", "", " ", None) else str(line.get_marker())
    colour = line.get_color() if drawn or not marker else line.get_markerfacecolor()
    if colour in ("none", "white"):
        colour = line.get_markeredgecolor()
    return Look(colour_of(colour), tuple(dash or ()) if drawn else None, round(float(line.get_linewidth()), 3), marker)


def entries_of(legend: Any) -> Iterator[tuple[str, Look]]:
    """The entries of a legend, which may be None: text and look; of a patch the colour alone."""
    if legend is None:
        return
    for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        if isinstance(handle, Line2D):
            yield words(text.get_text()), look_of(handle)
        elif handle is not None and hasattr(handle, "get_facecolor"):
            colour = np.atleast_2d(handle.get_facecolor())
            if len(colour):
                yield words(text.get_text()), Look(colour_of(colour[0]), None, 0.0, "")


def name_of(label: Any, look: Look, entries: Sequence[tuple[str, Look]]) -> str:
    """A line's own label, or its colour's entry, to which that of its dashes is added where they are others."""
    own = "" if str(label).startswith("_") else words(str(label))
    if own:
        return own
    same = [(text, entry) for text, entry in entries if entry.colour == look.colour]
    exact = [text for text, entry in same if entry.like(look)]
    if exact or look.grey:
        return (exact or [text for text, _ in same] or [""])[0]
    dashes = [text for text, entry in entries if entry.grey and entry.like(look)]
    return ", ".join(dict.fromkeys([text for text, _ in same][:1] + dashes[:1]))


def name_of_colour(colour: str, entries: Iterable[tuple[str, Look]]) -> str:
    """The first entry of a colour, for what is neither dashed nor marked; "" where there is none."""
    return next((text for text, entry in entries if entry.colour == colour), "")


def words(text: str) -> str:
    """A text of a figure on one line."""
    return " ".join(text.replace("$", "").split())


def colour_of(colour: Any) -> str:
    """As #rrggbb, whatever matplotlib calls it."""
    return to_hex(colour)
