"""The one table of methods: what each is called and how it looks, in every figure, table and sentence.

UniBiO is black wherever it stands; without p, which is ours, it has a colour of its own. The colours are none of those
that exponents or other things have (see :mod:`unibio.studies.common.style`), and were chosen so that methods which
share a figure lie far apart, for readers with a red–green deficiency, too; in grey such methods differ by their
markers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from unibio.studies.common.style import BLACK, GREY, LINES, PALE


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Attributes:
        label: what readers see.
        colour, line, marker: as matplotlib takes them.
    """

    label: str
    colour: str
    line: Any
    marker: str


#: By the algorithm's name; a method whose rule has several forms, by "name form".
METHODS: dict[str, Method] = {
    "unibio": Method("UniBiO", BLACK, LINES[0], "*"),
    "unibio_plain": Method("UniBiO (plain steps)", BLACK, LINES[1], "X"),
    "unibio epochs": Method("UniBiO (two epochs)", BLACK, LINES[3], "p"),
    "unibio_adaptive": Method("UniBiO without p", "#8700ff", LINES[0], "P"),
    "unibio_windows": Method("UniBiO, η by windows", BLACK, LINES[2], "s"),
    "stocbio": Method("StocBiO", "#752b06", LINES[1], "s"),
    "bsa": Method("BSA", "#857d45", LINES[2], "P"),
    "ttsa": Method("TTSA", "#0a7b6c", LINES[3], "D"),
    "sustain": Method("SUSTAIN", "#91088a", LINES[4], "v"),
    "mrbo": Method("MRBO", "#5a8bde", LINES[5], "<"),
    "vrbo": Method("VRBO", "#2366e0", LINES[0], ">"),
    "soba": Method("SOBA", "#3d40b5", LINES[2], "^"),
    "ma_soba": Method("MA-SOBA", "#3c8e00", LINES[0], "o"),
    "saba": Method("SABA", "#9b81b6", LINES[5], "h"),
    "amigo": Method("AmIGO", "#4f410d", LINES[3], "p"),
    "bo_rep": Method("BO-REP", "#e52f7f", LINES[2], "d"),
    "f2sa": Method("F²SA", "#9c5f06", LINES[0], "o"),
    "f3sa": Method("F³SA", "#179aa6", LINES[1], "X"),
    "f2ba": Method("F²BA", "#867afa", LINES[2], "p"),
    "proximal": Method("proximal, two loops", "#be7a69", LINES[3], "D"),
    "proximal_momentum": Method("proximal, one loop", "#9e576e", LINES[4], "v"),
    "bome": Method("BOME", "#a69e18", LINES[5], "P"),
    "pbgd": Method("PBGD", "#105b3e", LINES[0], "<"),
    "pbgd joint": Method("PBGD, joint", "#105b3e", LINES[0], "<"),
    "pbgd blockwise": Method("PBGD, blockwise", "#583562", LINES[1], ">"),
    "lower_only": Method("without bilevel", GREY, LINES[3], ""),
    "epoch_sgd": Method("Epoch-SGD", GREY, LINES[1], ""),
    "linear_system": Method("the linear system", GREY, LINES[2], ""),
}

#: Methods that a figure shows without telling one from another.
OTHERS: dict[str, Any] = {"color": PALE, "linestyle": "-", "linewidth": 0.9, "zorder": 1}


def label(name: str) -> str:
    """What readers see.

    Of a variant of a method, METHOD_WORDS, its method's label and the words; of a method that is not in the table, the
    name itself.
    """
    if name in METHODS:
        return METHODS[name].label
    method = max((known for known in METHODS if name.startswith(f"{known}_")), key=len, default="")
    return f"{METHODS[method].label} {name.removeprefix(f'{method}_').replace('_', ' ')}" if method else name


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """A table for readers: labels instead of names in the columns that say a method."""
    columns = [name for name in ("method", "published") if name in table]
    return table.assign(**{name: table[name].map(label, na_action="ignore") for name in columns})


def look(name: str, setting: int = 0) -> dict[str, Any]:
    """Colour, line, marker, width and order of a method's curves.

    Args:
        name: of the table; others look as ``OTHERS``.
        setting: which of several settings of the method; all but the first are dashed, UniBiO's with another marker,
            others' with an open one.
    """
    if name not in METHODS:
        return dict(OTHERS)
    one = METHODS[name]
    look = {"color": one.colour, "linestyle": one.line, "marker": one.marker, "linewidth": 1.2}
    if name.startswith("unibio"):
        look |= {"linewidth": 1.8, "markersize": 6, "zorder": 3}
        return look | {"linestyle": LINES[1], "marker": "X"} if setting else look
    return look | {"linestyle": LINES[1], "markerfacecolor": "white"} if setting else look
