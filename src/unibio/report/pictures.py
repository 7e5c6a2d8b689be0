"""Drawing the studies' figures from records, in several processes. Needs no torch."""

from __future__ import annotations

import gc
import multiprocessing
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from unibio.errors import InputError, unknown
from unibio.store.lists import manifest
from unibio.studies import DRAWINGS
from unibio.studies.common.evidence import Evidence, MissingRecordsError


def draw_all(
    records_root: Path,
    out: Path,
    names: Sequence[str] | None = None,
    evidence: Evidence | None = None,
    workers: int = 1,
) -> list[Path]:
    """Draw figures and write the tables they plot.

    Args:
        records_root: directory of records.
        out: figures go to ``out``/figures, tables to ``out``/tables.
        names: figures to draw; None draws all whose records are there, and says on stderr which are not.
        evidence: records already loaded, instead of ``records_root``; they are drawn in this process.
        workers: processes; more than one needs a main module that can be imported again (a script with a guard).

    Returns:
        The files written.

    Raises:
        InputError: an unknown name, a named figure without records, or no records at all.
    """
    for name in names or ():
        if name not in DRAWINGS:
            raise unknown("figure", name, DRAWINGS)
    asked = list(names or DRAWINGS)
    groups = _groups(Path(records_root), asked) if workers > 1 and evidence is None else []
    if len(groups) > 1:
        done = _in_processes(Path(records_root), Path(out), groups, workers)
    else:
        done = [_draw(evidence or Evidence(Path(records_root)), Path(out), asked)]
    written = {name: paths for drawn, _, _ in done for name, paths in drawn.items()}
    missing = {name: why for _, absent, _ in done for name, why in absent.items()}
    for note in dict.fromkeys(note for _, _, notes in done for note in notes):
        print(f"unibio: {note}", file=sys.stderr)
    if missing and names:
        raise InputError("; ".join(f"figure {name}: {missing[name]}" for name in asked if name in missing))
    lines = list(_absent(Path(records_root), {name: missing[name] for name in asked if name in missing}))
    if not written:
        raise InputError("; ".join(lines))
    for line in lines:
        print(f"unibio: {line}", file=sys.stderr)
    return [path for name in asked for path in written.get(name, ())]


def has_figures(root: Path) -> bool:
    """Whether an experiment has been run of which there is a figure."""
    return any(manifest(root, one) is not None for drawing in DRAWINGS.values() for one in drawing.experiments)


#: Files by figure, why others are missing, and what was found wrong on loading.
Done = tuple[dict[str, list[Path]], dict[str, str], list[str]]


def _draw(evidence: Evidence, out: Path, names: Sequence[str]) -> Done:
    written: dict[str, list[Path]] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            written[name] = DRAWINGS[name].write(evidence, out)
        except (MissingRecordsError, InputError) as error:
            missing[name] = str(error)
    return written, missing, evidence.notes


def _absent(root: Path, missing: Mapping[str, str]) -> Iterator[str]:
    """What to say of figures that were not drawn: a line each, but one for all whose experiments nobody ran."""
    unrun = {name: [one for one in DRAWINGS[name].experiments if manifest(root, one) is None] for name in missing}
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
        experiment = DRAWINGS[name].experiments[0]
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
        return _draw(Evidence(root), out, names)
    finally:
        gc.enable()
        gc.collect()
