"""The figures of the study, drawn from records alone. Needs no torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from unibio.analysis.comparisons import costs
from unibio.analysis.study import MissingRecordsError, Study
from unibio.errors import InputError, unknown
from unibio.figures import (
    e1,
    equal_step,
    fig1,
    fig5,
    lp_regression,
    lr_search,
    nli,
    penalty_rates,
    released,
    sensitivity,
    theorem_schedule,
)
from unibio.figures.drawing import Drawing, Drawn


def _runtime(study: Study) -> Drawn:
    return Drawn(None, {"runtime": costs(study.require("runtime"))})


def _fig1(name: str, caption: str) -> Drawing:
    return Drawing(name, caption, (name,), partial(fig1.draw, experiment=name))


def _equal(experiment: str, noise: float, suffix: str, where: str) -> Drawing:
    level = "without noise" if noise == 0 else f"noise variance {noise:g}"
    caption = f"The equal-η control{where}, {level}: every p at the same η, against iterations and oracle calls."
    draw = partial(equal_step.draw, experiment=experiment, noise=noise, suffix=suffix)
    return Drawing(experiment + suffix, caption, (experiment,), draw)


_BAND = "Median and interquartile band over the seeds."
FIGURES: dict[str, Drawing] = {
    drawing.name: drawing
    for drawing in (
        _fig1("fig1", f"Figure 1 (a–d) with the paper's Algorithm 2 and the paper's η for each p. {_BAND}"),
        _fig1("fig1_released", f"Figure 1 (a–d) as the released script computes it. {_BAND}"),
        Drawing(
            "fig1_released_comparison",
            "The released script, which steps along the closed-form hypergradient, over Algorithm 2; medians.",
            ("fig1", "fig1_released"),
            released.draw,
        ),
        _equal("fig1_equal", 0.0, "", ""),
        _equal("fig1_equal", 1.0, "_noise1", ""),
        _fig1(
            "fig1_coordinatewise",
            f"Figure 1 repeated on the coordinate-wise problem, d = 10, η the paper's times √10. {_BAND}",
        ),
        _equal("fig1_coordinatewise_equal", 0.0, "", " on the coordinate-wise problem"),
        _equal("fig1_coordinatewise_equal", 1.0, "_noise1", " on the coordinate-wise problem"),
        Drawing(
            "coordinatewise_sensitivity",
            "What the estimator, the inner budget K and the Neumann step c do on the coordinate-wise problem.",
            ("coordinatewise_sensitivity",),
            sensitivity.draw,
        ),
        Drawing(
            "lr_search",
            "The learning-rate search: averaged hypergradient norm for every pair of steps, the cells tied with the "
            "best, and the paper's point.",
            ("lr_search",),
            lr_search.draw,
        ),
        Drawing(
            "fig5",
            "Figure 5: averaged hypergradient norm with power laws fitted to the last decade; mean over the seeds, "
            "95% bootstrap intervals.",
            ("fig5",),
            fig5.draw,
        ),
        Drawing(
            "fig5_ranges",
            "The fitted slope as a function of the fit range, largest noise level.",
            ("fig5",),
            fig5.draw_ranges,
        ),
        Drawing(
            "theorem_schedule",
            "Theorem 5.1's schedule at p = 2: final averaged norm against the horizon T.",
            ("theorem_schedule",),
            theorem_schedule.draw,
        ),
        *e1.drawings(),
        *lp_regression.drawings(),
        *nli.drawings(),
        *penalty_rates.drawings(),
        Drawing("runtime", "Running time and average inner iterations per p (a table).", ("runtime",), _runtime),
    )
}


def draw_all(
    records_root: Path, out: Path, names: Sequence[str] | None = None, study: Study | None = None
) -> list[Path]:
    """Draw figures and write the tables they plot.

    Args:
        records_root: directory of records.
        out: figures go to ``out``/figures, tables to ``out``/tables.
        names: figures to draw; None draws all whose records are there, and says on stderr which are not.
        study: records already loaded, instead of ``records_root``.

    Returns:
        The files written.

    Raises:
        InputError: an unknown name, a named figure without records, or no records at all.
    """
    for name in names or ():
        if name not in FIGURES:
            raise unknown("figure", name, FIGURES)
    study = study or Study(Path(records_root))
    written: list[Path] = []
    missing: dict[str, str] = {}
    for name in names or FIGURES:
        try:
            written += FIGURES[name].write(study, Path(out))
        except (MissingRecordsError, InputError) as error:
            missing[name] = str(error)
    for note in study.notes:
        print(f"unibio: {note}", file=sys.stderr)
    if missing and (names or not written):
        raise InputError("; ".join(f"figure {name}: {why}" for name, why in missing.items()))
    for name, why in missing.items():
        print(f"unibio: figure {name} left out: {why}", file=sys.stderr)
    return written
