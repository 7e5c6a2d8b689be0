"""The figures of the study, drawn from records alone. Needs no torch."""

from __future__ import annotations

import gc
import multiprocessing
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from unibio.analysis.comparisons import costs
from unibio.analysis.study import MissingRecordsError, Study
from unibio.errors import InputError, unknown
from unibio.figures import (
    corrupted_labels,
    e1,
    equal_step,
    fig1,
    fig5,
    first_order_convexity,
    global_optimality,
    lower_bound,
    lp_regression,
    lr_search,
    nasty,
    nli,
    penalty_accuracy,
    penalty_rates,
    released,
    sensitivity,
    theorem_schedule,
)
from unibio.figures.drawing import Drawing, Drawn
from unibio.records import manifest


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
        *penalty_accuracy.drawings(),
        *nasty.drawings(),
        *corrupted_labels.drawings(),
        *lower_bound.drawings(),
        *penalty_rates.drawings(),
        *first_order_convexity.drawings(),
        *global_optimality.drawings(),
        Drawing("runtime", "Running time and average inner iterations per p (a table).", ("runtime",), _runtime),
    )
}


def draw_all(
    records_root: Path,
    out: Path,
    names: Sequence[str] | None = None,
    study: Study | None = None,
    workers: int = 1,
) -> list[Path]:
    """Draw figures and write the tables they plot.

    Args:
        records_root: directory of records.
        out: figures go to ``out``/figures, tables to ``out``/tables.
        names: figures to draw; None draws all whose records are there, and says on stderr which are not.
        study: records already loaded, instead of ``records_root``; they are drawn in this process.
        workers: processes; more than one needs a main module that can be imported again (a script with a guard).

    Returns:
        The files written.

    Raises:
        InputError: an unknown name, a named figure without records, or no records at all.
    """
    for name in names or ():
        if name not in FIGURES:
            raise unknown("figure", name, FIGURES)
    asked = list(names or FIGURES)
    groups = _groups(Path(records_root), asked) if workers > 1 and study is None else []
    if len(groups) > 1:
        done = _in_processes(Path(records_root), Path(out), groups, workers)
    else:
        done = [_draw(study or Study(Path(records_root)), Path(out), asked)]
    written = {name: paths for drawn, _, _ in done for name, paths in drawn.items()}
    missing = {name: why for _, absent, _ in done for name, why in absent.items()}
    for note in dict.fromkeys(note for _, _, notes in done for note in notes):
        print(f"unibio: {note}", file=sys.stderr)
    if missing and (names or not written):
        raise InputError("; ".join(f"figure {name}: {missing[name]}" for name in asked if name in missing))
    for line in _absent(Path(records_root), {name: missing[name] for name in asked if name in missing}):
        print(f"unibio: {line}", file=sys.stderr)
    return [path for name in asked for path in written.get(name, ())]


#: Files by figure, why others are missing, and what was found wrong on loading.
Done = tuple[dict[str, list[Path]], dict[str, str], list[str]]


def _draw(study: Study, out: Path, names: Sequence[str]) -> Done:
    written: dict[str, list[Path]] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            written[name] = FIGURES[name].write(study, out)
        except (MissingRecordsError, InputError) as error:
            missing[name] = str(error)
    return written, missing, study.notes


def _absent(root: Path, missing: Mapping[str, str]) -> Iterator[str]:
    """What to say of figures that were not drawn: a line each, but one for all whose experiments nobody ran."""
    unrun = {name: [one for one in FIGURES[name].experiments if manifest(root, one) is None] for name in missing}
    absent = sorted({one for experiments in unrun.values() for one in experiments})
    if absent:
        figures = [name for name, experiments in unrun.items() if experiments]
        yield (
            f"{len(figures)} figures left out ({', '.join(figures)}): not run in {root}: {', '.join(absent)}; run one "
            "by python -m unibio experiment=NAME"
        )
    for name, why in missing.items():
        if not unrun[name]:
            yield f"figure {name} left out: {why}"


def _groups(root: Path, names: Sequence[str]) -> list[list[str]]:
    """Figures of the same records, which are then read and analysed once; those without any with the first."""
    groups: dict[str, list[str]] = {}
    absent = []
    for name in names:
        experiment = FIGURES[name].experiments[0]
        if manifest(root, experiment) is None:
            absent.append(name)
        else:
            groups.setdefault(experiment, []).append(name)
    found = sorted(groups.values(), key=len, reverse=True)  # the longest first, so that none is waited for alone
    return [found[0] + absent, *found[1:]] if found else []


def _in_processes(root: Path, out: Path, groups: Sequence[Sequence[str]], workers: int) -> list[Done]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(groups)), mp_context=context) as pool:
        return list(pool.map(partial(_draw_group, root, out), groups))


def _draw_group(root: Path, out: Path, names: Sequence[str]) -> Done:
    gc.disable()  # a figure is a web of small objects that the collector walks again and again while it is drawn
    try:
        return _draw(Study(root), out, names)
    finally:
        gc.enable()
        gc.collect()
