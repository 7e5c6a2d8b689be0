"""The report as a PDF: everything is on its sheets, nothing is cut, and nothing stands on anything else."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import synthetic
from unibio.report import paper
from unibio.report.lines import of_record
from unibio.report.paper import HEIGHT, MARGIN, WIDTH, Sheet, pdf, sheets
from unibio.report.plotting import Wanted, drawn
from unibio.studies.common import style
from unibio.studies.common.document import Block, Bullets, Code, Folded, Heading, PageOnly, Paragraph, Picture, Table


def texts(sheet: Sheet) -> list[str]:
    return [part.text for part in sheet.parts if isinstance(part, paper._Text)]


def curves(panels: int) -> Figure:
    found = [of_record(synthetic.record(2, seeds=2, axes={"noise": [float(k) for k in range(panels)]}))]
    with matplotlib.rc_context(style.RC):
        figure = drawn(found, Wanted(panel="noise", by="exponent"), "curves").figure
    assert figure is not None
    return figure


def boxes(sheet: Sheet) -> list:
    """Where a sheet's texts are, once drawn, in points from the lower left corner."""
    with matplotlib.rc_context(style.RC):
        figure = paper._printed(sheet, "1 / 1")
        figure.set_dpi(72)
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
    shown = [*figure.texts, *(text for axes in figure.axes if axes.get_visible() for text in _labels(axes))]
    shown += [text for legend in figure.legends for text in legend.get_texts()]
    return [text.get_window_extent(renderer) for text in shown if text.get_text()]


def _labels(axes) -> list:
    return [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]


WIDE = Table(
    ["algorithm", *(f"a column with a long name {k}" for k in range(11))],
    [["a_method_whose_name_is_" + "very_" * 40 + "long", *np.linspace(0, 1, 11)] for _ in range(40)],
)
DOCUMENT: list[Block] = [
    Heading(1, "A title, ‖∇φ(xₜ)‖ and $no$ mathematics"),
    Paragraph("Words " * 200 + "and `code`, **bold** and a [file](tables/final.csv)."),
    PageOnly([Paragraph("of the page alone")]),
    Bullets(["first", "second " * 60]),
    Code("python -m unibio " + "problem.exponent=2,4 " * 30),
    Heading(2, "Curves"),
    Picture("one.png", "What it shows, " * 20),
    Picture("two.png", "Another."),
    Heading(2, "Numbers"),
    Table(["Setting", "Value"], [["β", 0.5], ["η", float("nan")], ["calls", float("inf")]]),
    WIDE,
    Folded("What is folded", [Paragraph("stands open")]),
]


@pytest.fixture(scope="module")
def made() -> list[Sheet]:
    with matplotlib.rc_context(style.RC):
        return sheets(DOCUMENT, {"one.png": curves(8), "two.png": curves(1)})


def test_everything_is_there_and_tables_have_their_heads_again(made: list[Sheet]) -> None:
    words = " ".join(line for sheet in made for line in texts(sheet))
    assert words.count("Words") == 200
    assert "and code, bold and a file." in words
    assert words.count("problem.exponent=2,4") == 30
    assert words.count("What it shows,") == 20
    for said in ("never", "–", "stands open", "‖∇φ(xₜ)‖ and $no$"):
        assert said in words
    assert "of the page alone" not in words
    rows = [sum(line.startswith("a_method") for line in texts(sheet)) for sheet in made]
    assert sum(rows) == 40
    assert sum(count > 0 for count in rows) > 1
    for sheet, count in zip(made, rows, strict=True):
        assert ("algorithm" in texts(sheet)) == (count > 0)
    assert sum(any(isinstance(part, paper._Drawn) for part in sheet.parts) for sheet in made) == 2


def test_nothing_is_cut_and_nothing_stands_on_anything_else(made: list[Sheet]) -> None:
    for sheet in made:
        found = boxes(sheet)
        for box in found:
            assert box.x0 >= MARGIN / 3, sheet
            assert box.y0 >= MARGIN / 3, sheet
            assert box.x1 <= sheet.width - MARGIN / 3, sheet
            assert box.y1 <= sheet.height - MARGIN / 3, sheet
        for i, one in enumerate(found):
            for other in found[:i]:
                across = min(one.x1, other.x1) - max(one.x0, other.x0)
                above = min(one.y1, other.y1) - max(one.y0, other.y0)
                assert across < 1 or above < 3, "descenders may reach a point or two below a line"
    assert (made[0].width, made[0].height) == (WIDTH, HEIGHT)
    assert max(sheet.height for sheet in made) > HEIGHT, "three rows of panels are higher than a sheet"


def test_a_long_table_says_what_is_left_out() -> None:
    (*_, last) = sheets([Table(["n"], [[k] for k in range(paper.MOST_ROWS + 7)])], {})
    assert texts(last)[-1] == "and 7 more, which the CSV file has"


def test_fonts_are_large_enough(made: list[Sheet]) -> None:
    assert min(part.face.size for sheet in made for part in sheet.parts if isinstance(part, paper._Text)) >= 9


@pytest.mark.slow
def test_the_same_document_is_the_same_bytes() -> None:
    first, second = (pdf(DOCUMENT[:8], {"one.png": curves(2), "two.png": curves(1)}) for _ in range(2))
    assert first == second
    assert first.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", first)) == len(
        sheets(DOCUMENT[:8], {"one.png": curves(2), "two.png": curves(1)})
    )
    assert first.count(b"/Subtype /Image") == 0, "curves are lines"


def test_a_picture_without_its_figure_is_an_error() -> None:
    with pytest.raises(KeyError):
        pdf([Picture("none.png", "")], {})
