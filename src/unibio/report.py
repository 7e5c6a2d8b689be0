"""The report of the synthetic study: a verdict on each claim and the numbers behind it, from records alone.

Writes ``report.md``, the same content as one self-contained ``report.html``, and ``claims.json`` for machines. Needs
no torch.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unibio.analysis import claims as rules
from unibio.analysis.claims import Outcome
from unibio.analysis.comparisons import costs, first_hits
from unibio.analysis.lr_search import TIE, search
from unibio.analysis.statements import CLAIMS, Claim, judge
from unibio.analysis.study import Study
from unibio.document import Block, Bullets, Code, Heading, Paragraph, Picture, Table, markdown, page, shown
from unibio.errors import InputError
from unibio.figures import FIGURES, fig5
from unibio.records import Record, write_text
from unibio.report_e1 import sections as e1_sections
from unibio.report_lp_regression import blocks as lp_regression_blocks

TITLE = "UniBiO on Example 3: what is reproduced"


@dataclass(frozen=True)
class Judged:
    """A claim with its outcome and the scale of its records."""

    claim: Claim
    outcome: Outcome
    scale: str

    @property
    def verdict(self) -> str:
        """The verdict as the report prints it: at a reduced scale it says so."""
        if self.scale == "paper" or self.outcome.verdict == rules.NOT_RUN:
            return self.outcome.verdict
        return f"{self.outcome.verdict} (reduced scale: {self.scale})"


def write(records_root: Path, out: Path, study: Study | None = None) -> Path:
    """Judge every claim and write the report beside the figures that :func:`unibio.figures.draw_all` has drawn.

    Args:
        records_root: directory of records.
        out: receives report.md, report.html and claims.json; figures are looked up in ``out``/figures.
        study: records already loaded, instead of ``records_root``.

    Returns:
        Path of report.md.
    """
    study, out = study or Study(Path(records_root)), Path(out)
    judged = [Judged(claim, *judge(claim, study)) for claim in CLAIMS]
    blocks = list(_blocks(study, judged, out))
    machine = json.dumps(_machine(study, judged), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(out / "claims.json", machine + "\n")
    write_text(out / "report.html", page(TITLE, blocks, out, _badge))
    write_text(out / "report.md", markdown(blocks))
    return out / "report.md"


def _blocks(study: Study, judged: Sequence[Judged], out: Path) -> Iterable[Block]:
    yield Heading(1, TITLE)
    yield Paragraph(
        "The synthetic study of the paper arXiv:2603.00027 (Wu, Gong, Hao and Liu, ICLR 2026), computed from the "
        "records listed at the end. Every verdict follows from them by a rule in `unibio/analysis/claims.py`."
    )
    scales = {j.scale for j in judged if j.outcome.verdict != rules.NOT_RUN} - {"paper"}
    if scales:
        yield Paragraph(
            f"**Reduced scale ({', '.join(sorted(scales))}): runs are shorter and seeds fewer than the paper's. These "
            "verdicts show that everything runs; they say nothing about the paper.**"
        )
    yield Heading(2, "Verdicts")
    counts = Counter(j.outcome.verdict for j in judged)
    yield Paragraph("; ".join(f"{counts[v]} {v}" for v in rules.VERDICTS if counts[v]) + ".")
    yield Table(
        ["Claim", "Source", "Verdict", "Figure"],
        [[j.claim.statement, j.claim.source, j.verdict, _figure_link(study, out, j.claim.figure)] for j in judged],
    )
    yield Heading(2, "The numbers behind them")
    for j in judged:
        yield Heading(3, j.claim.id)
        yield Paragraph(f"{j.claim.statement} **{j.verdict.capitalize()}.**")
        yield Paragraph(f"{j.outcome.explanation[:1].upper()}{j.outcome.explanation[1:]}.")
        yield Paragraph("Run: " + "; ".join(f"`{study.command(name)}`" for name in j.claim.experiments))
    yield from _tables(study)
    yield from lp_regression_blocks(study)
    yield from _figures(study, out)
    yield from _caveats()
    yield from _provenance(study)


def _figure_link(study: Study, out: Path, name: str) -> str:
    drawing = FIGURES[name]
    if not all(study.records(experiment) for experiment in drawing.experiments):
        return "–"
    for path in (f"figures/{name}.png", f"tables/{name}.csv"):
        if (out / path).is_file():
            return f"[{name}]({path})"
    return "–"


def _tables(study: Study) -> Iterable[Block]:
    yield Heading(2, "Tables")
    if study.records("fig1_equal"):
        hits = first_hits(study.records("fig1_equal"))
        if not hits.empty:
            yield Heading(3, "First hits at equal steps")
            yield Paragraph("Median iterations (oracle calls) to |∇φ| below the target on Example 3, 1 dimension.")
            yield _hits_table(hits)
    if study.records("runtime"):
        yield Heading(3, "Running time and inner iterations")
        yield _frame(costs(study.records("runtime")).drop(columns="dimension"))
    if study.records("lr_search"):
        yield Heading(3, "Learning-rate search")
        yield Paragraph(
            f"Criterion: hypergradient norm averaged over the run, median over the seeds; within {TIE:.0%} of the best "
            "is tied. An axis whose tied region is at an edge was not searched far enough for that best to mean much."
        )
        try:
            rows = [search(record).row() for record in study.records("lr_search")]
            yield _frame(pd.DataFrame(rows).set_index("p").T)
        except InputError as error:
            yield Paragraph(str(error))
    if study.records("fig5"):
        table = fig5.fits(study)
        table = table[table["noise"] == table["noise"].max()]
        yield Heading(3, "Slopes of Figure 5 by fit range")
        yield Paragraph(
            "Largest noise level; slope ± standard error [95% bootstrap interval over seeds]. Residuals of a running "
            "average are correlated, so that the standard error is too small."
        )
        yield _slopes_table(table)
    for heading, text, frame in e1_sections(study):
        yield Heading(3, heading)
        yield Paragraph(text)
        yield _frame(frame)


def _hits_table(hits: pd.DataFrame) -> Table:
    exponents = sorted(hits["p"].unique())
    rows = []
    for (noise, step), group in hits.groupby(["noise", "upper_step"], sort=False):
        by_p = group.set_index("p")
        cells = [f"{shown(by_p['iterations'][p])} ({shown(by_p['oracle_calls'][p])})" for p in exponents]
        rows.append([f"{noise:g}", f"{step:g}", *cells])
    return Table(["noise", "η", *(f"p = {p}" for p in exponents)], rows)


def _slopes_table(table: pd.DataFrame) -> Table:
    exponents = sorted(table["p"].unique())
    kinds = [("the paper's", table[table["paper_step"]])]
    kinds += [(f"{step:g}", group) for step, group in table.groupby("upper_step", sort=False)]
    rows = []
    for label, chosen in kinds:
        for (low, high), group in chosen.groupby(["low", "high"], sort=False):
            by_p = {row.p: row for row in group.itertuples()}
            cells = [
                f"{r.slope:.3f} ± {r.error:.3f} [{r.interval_low:.3f}, {r.interval_high:.3f}]".replace("-", "−")
                if r
                else "–"
                for r in (by_p.get(p) for p in exponents)
            ]
            rows.append([label, f"{low:g} … {high:g}", *cells])
    bounds = [f"{table[table['p'] == p]['bound'].iloc[0]:.3f}" for p in exponents]
    return Table(["η", "t", *(f"p = {p}" for p in exponents)], [*rows, ["bound", "", *bounds]])


def _frame(frame: pd.DataFrame) -> Table:
    """A DataFrame as a table; an index that holds names becomes the first column."""
    if isinstance(frame.index, pd.RangeIndex):
        names = [str(name).replace("_", " ") for name in frame.columns]
        return Table(names, [list(row) for row in frame.itertuples(index=False)])
    header = ["", *(f"{frame.columns.name} = {value}" for value in frame.columns)]
    return Table(header, [[str(row[0]).replace("_", " "), *row[1:]] for row in frame.itertuples()])


def _figures(study: Study, out: Path) -> Iterable[Block]:
    yield Heading(2, "Figures")
    for name, drawing in FIGURES.items():
        absent = [e for e in drawing.experiments if not study.records(e)]
        picture = f"figures/{name}.png"
        if absent:
            yield Paragraph(f"**{name}**: not yet run. " + "; ".join(f"`{study.command(e)}`" for e in absent))
        elif (out / picture).is_file():
            yield Heading(3, name)
            yield Picture(picture, drawing.caption)
            files = [f"[PDF](figures/{name}.pdf)"]
            files += [f"[{t.stem}.csv](tables/{t.name})" for t in sorted((out / "tables").glob(f"{name}.csv"))]
            yield Paragraph("Files: " + ", ".join(files) + ". Records and picture again:")
            yield Code("\n".join([*(study.command(e) for e in drawing.experiments), f"unibio figures {name}"]))


def _caveats() -> Iterable[Block]:
    yield Heading(2, "What to keep in mind")
    yield Bullets(
        [
            "φ is the same function for every p on Example 3, and a normalised step in one dimension sees only the "
            "sign of the momentum: at equal η the curves must nearly coincide. What separates the published curves is "
            "that each p has its own η.",
            "In one dimension every iterate lies on the lattice 1 + kη. How small |∇φ| gets depends on where the "
            "lattice falls beside the minimiser −π/2; the last digits of the learning-rate search are of that kind.",
            "Oracle calls at equal η differ by the length of an Epoch-SGD call, 75, 59, 70, 77 steps for p = 2, 4, 6, "
            "8, which is not monotone in p.",
            "The noise levels are variances in the paper's text and standard deviations in the released script; "
            "Algorithm 2 is run with variances, the released variant with standard deviations.",
            "Q = 3 and c = 1 on Example 3 and the ranges of the learning-rate search are ours: the paper's did not "
            "survive in the text we have. The coordinate-wise problem is ours altogether.",
            "Figure 5 keeps η fixed. Its averages first rise (the start is not the steepest point), then fall almost "
            "like 1/t, then level off at a floor proportional to η: not a power law, so that the slope is a choice of "
            "fit range. The bound is about a schedule that depends on T.",
            "Under the theorem's schedule the descent from x = 1 to the minimiser takes (1 + π/2)/η of the T "
            "iterations, a share proportional to 1/(ηT) = T^(−1/4) at p = 2 whatever the noise: the slope checks the "
            "schedule more than the estimator.",
            "Seeds differ little before the iterates circle the minimiser; intervals over seeds are therefore narrow, "
            "much narrower than what the fit range does.",
            f"Thresholds of the verdicts are constants with reasons in `unibio/analysis/claims.py`: converged is below "
            f"{rules.SMALL_GRADIENT:g} per coordinate over the last {rules.TAIL:.0%} of a run for "
            f"{rules.MOST_SEEDS:.0%} of the seeds; medians within {rules.SAME:.0%} are the same.",
        ]
    )


def _provenance(study: Study) -> Iterable[Block]:
    names = sorted({e for drawing in FIGURES.values() for e in drawing.experiments})
    every = [record for name in names for record in study.records(name)]
    yield Heading(2, "Environment and records")
    if study.notes:
        yield Paragraph("Found on loading:")
        yield Bullets(study.notes)
    if every:
        yield Table(["", ""], _environment(every))
    rows = [[name, len(study.records(name)), f"`{study.command(name)}`"] for name in names]
    yield Table(["Experiment", "Records", "Command"], rows)
    for name in names:
        if study.records(name):
            yield Paragraph(f"**{name}**: " + ", ".join(f"`{record.name}`" for record in study.records(name)))


def _environment(every: Sequence[Record]) -> list[list[str]]:
    """What the summaries say about where the records were made; several values where they differ."""

    def said(section: str, key: str | None = None) -> str:
        found = [record.summary.get(section) or {} for record in every]
        values = [one.get(key) if key else one for one in found]
        return ", ".join(dict.fromkeys(str(v) for v in values if v not in (None, "", {}))) or "–"

    versions = dict.fromkeys(key for record in every for key in record.summary.get("versions") or {})
    rows = [[name, said("versions", name)] for name in versions]
    for name in dict.fromkeys(key for record in every for key in record.summary.get("hardware") or {}):
        rows.append([name, said("hardware", name)])
    dirty = any((record.summary.get("git") or {}).get("dirty") for record in every)
    rows.append(["commit", said("git", "commit") + (" (with uncommitted changes)" if dirty else "")])
    unique = {record.name: float(record.summary.get("seconds") or 0) for record in every}
    rows.append(["computing time", f"{sum(unique.values()):.0f} s in {len(unique)} jobs"])
    return rows


def _machine(study: Study, judged: Sequence[Judged]) -> dict[str, Any]:
    """The claims for machines: infinite and undefined numbers are null."""
    return {
        "title": TITLE,
        "scales": sorted({j.scale for j in judged if j.outcome.verdict != rules.NOT_RUN}),
        "notes": study.notes,
        "claims": [
            {
                "id": j.claim.id,
                "statement": j.claim.statement,
                "source": j.claim.source,
                "verdict": j.outcome.verdict,
                "scale": j.scale,
                "explanation": j.outcome.explanation,
                "numbers": _plain(j.outcome.numbers),
                "figure": j.claim.figure,
                "experiments": {name: study.command(name) for name in j.claim.experiments},
                "records": [record.name for name in j.claim.experiments for record in study.records(name)],
            }
            for j in judged
        ],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _badge(text: str) -> str | None:
    return _BADGES.get(text.split(" (reduced scale")[0])


_BADGES = {
    rules.REPRODUCED: "good",
    rules.CONSISTENT: "good",
    rules.CONFOUNDED: "mixed",
    rules.NOT_TESTABLE: "mixed",
    rules.NOT_REPRODUCED: "bad",
    rules.VIOLATED: "bad",
    rules.NOT_RUN: "open",
}
