"""A report of anybody's sweep: settings, curves, where they end, rates with their intervals; page, LaTeX, CSV and PDF.

It judges nothing. What it shows follows from records alone, like everything in this room.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.report.lines import Line, Source, lines, metric_of, of_record, varying
from unibio.report.page.explore import explorable
from unibio.report.page.html import page
from unibio.report.paper import pdf
from unibio.report.plotting import Wanted, drawn, label_of
from unibio.store.lists import manifest
from unibio.store.records import Record
from unibio.store.writing import write_bytes, write_text
from unibio.studies.common import methods
from unibio.studies.common.document import (
    Block,
    Bullets,
    Code,
    Folded,
    Heading,
    PageOnly,
    Paragraph,
    Picture,
    Table,
    frame_table,
    markdown,
    shown,
)
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence, scale
from unibio.studies.common.rates import LEVEL, slopes_by_range, standard_ranges

#: Lines of which a picture can still be read; of more, the best of every method are drawn.
MOST_LINES = 24

_CURVES = "figures/curves.png"


def write(found: Mapping[str, Sequence[Record]], root: Path, out: Path, notes: Sequence[str], wanted: Wanted) -> Path:
    """Write a report of one sweep or of several together.

    Args:
        found: their records by name.
        root: directory of the records.
        out: receives index.html, report.md, report.pdf, and curves, final values and rates as figures and tables.
        notes: what was found wrong on loading.
        wanted: of the curves.

    Returns:
        Path of index.html.

    Raises:
        InputError: runs without a metric in common, or a column or setting that is not there.
    """
    sources = sources_of(found)
    y = metric_of(sources, wanted.y)
    every = lines(sources, wanted.x, y)
    keys = varying(every)
    best = wanted.best or len(every) > MOST_LINES
    wanted = replace(wanted, y=y, best=best)
    shown_: list[Drawn] = []

    def draw(_: Evidence) -> Drawn:
        shown_.append(drawn(sources, wanted, "curves"))
        return shown_[0]

    Drawing("curves", "", draw).write(Evidence(None), out)
    ends = final(every, keys, y)
    fits = rates(sources, wanted.x, y)
    for name, table in (("final", ends), ("rates", fits)):
        write_text(out / "tables" / f"{name}.csv", table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
        write_text(out / "tables" / f"{name}.tex", latex(table))
    title = ", ".join(found)
    blocks = list(_blocks(title, found, root, notes, wanted, every, ends, fits, explorable(out, "curves")))
    write_text(out / "report.md", markdown(blocks))
    write_text(out / "index.html", page(title, blocks, out))
    figure = shown_[0].figure
    assert figure is not None
    write_bytes(out / "report.pdf", pdf(blocks, {_CURVES: figure}))
    return out / "index.html"


def sources_of(found: Mapping[str, Sequence[Record]]) -> list[Source]:
    """The runs of all records; where there are several sweeps, each run knows of which it is, and is taken once."""
    more = [{"sweep": name} if len(found) > 1 else {} for name in found]
    return [of_record(one, **said) for said, some in zip(more, found.values(), strict=True) for one in some]


def final(found: Sequence[Line], keys: Sequence[str], y: str) -> pd.DataFrame:
    """Where every line ends: its settings, runs, how many diverged, median and quartiles, calls and seconds of a run.

    Args:
        found: lines.
        keys: the settings that tell them apart.
        y: the metric.
    """
    rows = []
    for line in found:
        low, middle, high = (float(band[-1]) for band in line.bands)
        ends = {y: middle, "lower quartile": low, "upper quartile": high, "oracle_calls": line.calls}
        runs = {"runs": len(line.values), "diverged": line.diverged}
        rows.append({**_settings(line, keys), **runs, **ends, "seconds": line.seconds})
    return pd.DataFrame(rows).sort_values(y, kind="stable", ignore_index=True)


def rates(sources: Sequence[Source], x: str, y: str) -> pd.DataFrame:
    """Slopes of log–log fits over the standard ranges, one row per line and range; empty where none can be fitted.

    The mean of the metric over all iterates so far is fitted where it was recorded, as rates are stated for it, or else
    the metric itself; against iterations and, where the curves are drawn against something else, against that.
    """
    mean = f"{y}_mean"
    metric = mean if all(mean in source.metrics for source in sources) else y
    tables = []
    for place in dict.fromkeys(("iteration", x)):
        found = lines(sources, place, metric)
        keys = varying(found)
        for line in found:
            fitted = _fitted(line)
            head = {**_settings(line, keys), "of": metric, "against": place}
            tables.append(fitted.assign(**head)[[*head, *fitted.columns]])
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def _fitted(line: Line) -> pd.DataFrame:
    ranges = standard_ranges(float(line.place[-1]))
    fits = []
    for one in ranges:
        try:
            fits.append(slopes_by_range(line.place, line.values, [one]))
        except InputError:  # a run has diverged, or the metric has reached 0: no power law
            continue
    return pd.concat(fits, ignore_index=True) if fits else slopes_by_range(np.empty(0), np.empty((1, 0)), [])


def _settings(line: Line, keys: Sequence[str]) -> dict[str, Any]:
    """A line's settings under short names, where these are not taken twice."""
    short = [key.split(".")[-1] for key in keys]
    named = {}
    for key, last in zip(keys, short, strict=True):
        value = line.settings.get(key)
        named[last if short.count(last) == 1 else key] = methods.label(str(value)) if key == "algorithm" else value
    return named


def latex(table: pd.DataFrame) -> str:
    """A table for LaTeX, with the lines of the package booktabs."""
    columns = [str(name) for name in table.columns]
    kinds = "".join("r" if pd.api.types.is_numeric_dtype(table[name]) else "l" for name in table.columns)
    rows = [" & ".join(_tex(shown(cell)) for cell in row) + r" \\" for row in table.itertuples(index=False)]
    head = " & ".join(_tex(name.replace("_", " ")) for name in columns) + r" \\"
    return "\n".join(
        [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}", ""]
    )


_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "–": "--"}
_TEX |= {"²": "$^2$", "³": "$^3$", "‖": r"$\|$", "∇": r"$\nabla$", "φ": r"$\varphi$", "ℓ": r"$\ell$"}
_TEX |= {sign: rf"\{sign}" for sign in "&%$#_{}"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(sign, sign) for sign in text)


def _blocks(
    title: str,
    found: Mapping[str, Sequence[Record]],
    root: Path,
    notes: Sequence[str],
    wanted: Wanted,
    every: Sequence[Line],
    ends: pd.DataFrame,
    fits: pd.DataFrame,
    explored: Iterable[Block],
) -> Iterable[Block]:
    records = list({record.name: record for some in found.values() for record in some}.values())
    yield Heading(1, title)
    runs = sum(len(line.values) for line in every)
    yield Paragraph(
        f"{len(records)} records with {runs} runs, at scale {scale(records)}. Everything here is made of them."
    )
    yield PageOnly([Paragraph("The same to print: [report.pdf](report.pdf).")])
    yield from ([Bullets([f"{note}." for note in notes])] if notes else [])
    commands = [noted["command"] for name in found if (noted := manifest(root, name)) is not None]
    if commands:
        yield Code("\n".join(commands))
    yield Heading(2, "Settings")
    yield from _setting_blocks(every)
    yield Heading(2, "Curves")
    yield Picture(_CURVES, _caption(every, wanted))
    yield from explored
    yield Paragraph("Files: [curves.pdf](figures/curves.pdf), [curves.csv](tables/curves.csv).")
    yield Heading(2, "Where they end")
    yield Paragraph(
        f"Medians and quartiles of the last {label_of(wanted.y)} over the seeds, the lowest first; a run that has "
        "diverged counts as infinitely bad, and “never” is infinite. Files: [final.csv](tables/final.csv), "
        "[final.tex](tables/final.tex)."
    )
    yield frame_table(ends)
    yield Heading(2, "Rates")
    yield from _rate_blocks(fits)
    yield Heading(2, "Records")
    rows = [
        [r.name, str(r.standing), r.summary.get("git", {}).get("commit", "")[:12], r.summary["seconds"]]
        for r in records
    ]
    yield Folded(f"{len(records)} records", [Table(["Record", "Code", "Commit", "Seconds"], rows)])
    warned = sorted({f"{r.name}: {said}" for r in records for said in r.summary.get("warnings", ())})
    if warned:
        yield Folded(f"{len(warned)} warnings", [Bullets(warned)])


def _setting_blocks(every: Sequence[Line]) -> Iterable[Block]:
    differ = varying(every)
    if differ:
        yield Paragraph("What differs:")
        yield Table(["Setting", "Values"], [[f"`{key}`", _values(every, key)] for key in differ])
    same = [key for key in dict.fromkeys(key for line in every for key in line.settings) if key not in differ]
    yield Folded("What is the same", [Table(["Setting", "Value"], [[f"`{key}`", _own(every, key)] for key in same])])


def _own(every: Sequence[Line], key: str) -> str:
    """A setting's value, or those of several methods or problems, which each have one of their own."""
    role = key.partition(".")[0]
    named: dict[str, list[str]] = {}
    for line in (line for line in every if key in line.settings):
        some = named.setdefault(_values([line], key), [])
        owner = str(line.settings.get(role))
        some += [methods.label(owner)] if methods.label(owner) not in some else []
    if len(named) == 1:
        return next(iter(named))
    return "; ".join(f"{value} ({', '.join(owners)})" for value, owners in named.items())


def _values(every: Sequence[Line], key: str) -> str:
    values = list({repr(line.settings[key]): line.settings[key] for line in every if key in line.settings}.values())
    if len(values) > 12:
        return f"{len(values)} values from {values[0]} to {values[-1]}"
    return ", ".join(
        "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value) for value in values
    )


def _caption(every: Sequence[Line], wanted: Wanted) -> str:
    bands = ", with quartiles," if wanted.bands else ""
    text = f"Medians over the seeds{bands} of the {label_of(wanted.y)} against {label_of(wanted.x)}."
    return text + (
        f" Of {len(every)} lines those are shown that end lowest, one a colour and panel." if wanted.best else ""
    )


def _rate_blocks(fits: pd.DataFrame) -> Iterable[Block]:
    if fits.empty:
        yield Paragraph("No curve is positive, finite and long enough for a power law to be fitted.")
        return
    (of,) = fits["of"].unique()
    against = " and by ".join(label_of(name) for name in fits["against"].unique())
    yield Paragraph(
        f"Slopes of log–log fits of the {label_of(of)} to the ranges from low to high, by {against}; intervals are "
        f"Student's at {LEVEL:.0%} over the distinct seeds, and hold for a range that was chosen before looking. A "
        "dash stands where there is a single seed, or where all seeds have one slope. “Of mean” is the slope of the "
        "mean over the seeds, which a bound on an expectation is about. Files: [rates.csv](tables/rates.csv), "
        "[rates.tex](tables/rates.tex)."
    )
    yield frame_table(fits.drop(columns="of").assign(against=fits["against"].map(label_of)))


def file_name(names: Sequence[str]) -> str:
    """The name of a directory or a file for sweeps: letters, digits and signs that every file system takes."""
    return re.sub(r"[^\w.+-]", "_", "+".join(names))[:100]
