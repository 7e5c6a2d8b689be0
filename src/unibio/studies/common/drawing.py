"""What a figure is: a picture, the tables it plots, and how both are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.text import Text

from unibio.store.writing import write_bytes, write_text
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.mathematics import in_figure
from unibio.studies.common.palette import with_palette
from unibio.studies.common.style import RC
from unibio.studies.common.traced import curves_json


@dataclass(frozen=True)
class Drawn:
    """The result of drawing: a picture (None for a table alone) and the tables by file name."""

    figure: Figure | None
    tables: Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Drawing:
    """A figure of a study.

    Attributes:
        name: of its files.
        caption: what it shows, for the report.
        draw: from the evidence to the figure; raises MissingRecordsError where there are no records.
        experiments: whose records it needs; () stands for the study's.
        title: what it is about, in a few words that head it in the report; "" stands for its name.
        variant: whether it repeats another figure with one thing changed (a reading of the noise, a dimension, an
            axis). The report's page, which has a size to keep, then has its curves inside and its picture beside.
    """

    name: str
    caption: str
    draw: Callable[[Evidence], Drawn]
    experiments: tuple[str, ...] = ()
    title: str = ""
    variant: bool = False

    def write(self, evidence: Evidence, out: Path) -> list[Path]:
        """Draw into ``out``/figures/NAME.{png,pdf} and ``out``/tables/*.csv; the same records give the same bytes.

        NAME.curves.json beside the pictures has the curves that they show, see :mod:`unibio.studies.common.traced`.
        """
        look: Any = RC  # matplotlib types the keys one by one
        with matplotlib.rc_context(look):
            drawn = self.draw(evidence)
            written = []
            if drawn.figure is not None:
                for suffix, content in zip(("png", "pdf"), _pictures(drawn.figure), strict=True):
                    written.append(out / "figures" / f"{self.name}.{suffix}")
                    write_bytes(written[-1], content)
                written.append(out / "figures" / f"{self.name}.curves.json")
                write_text(written[-1], curves_json(drawn.figure))
        for name, table in drawn.tables.items():
            path = out / "tables" / f"{name}.csv"
            write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
            written.append(path)
        return written


def _pictures(figure: Figure) -> tuple[bytes, bytes]:
    """PNG and PDF of a figure: what ``savefig`` writes, which would lay the figure out twice and draw it four times."""
    for text in figure.findobj(Text):
        text.set_text(in_figure(text.get_text()))
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    figure.set_dpi(matplotlib.rcParams["savefig.dpi"])
    png, pdf = BytesIO(), BytesIO()
    FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
    FigureCanvasPdf(figure).print_pdf(pdf, metadata={"CreationDate": None})
    return with_palette(png.getvalue()), pdf.getvalue()
