"""What is under version control: thinned records, and the figures, tables and verdicts that follow from them alone.

    results/published/
        records/          thinned records and their lists, see :mod:`unibio.store.thinning`
        figures/ tables/  as `make figures RECORDS=results/published/records` makes them
        index.html claims.json report.md, and our_claims.md, long_tables.md, what_to_keep_in_mind.md beside it
        experiments.json  by which state of the source and the configuration each experiment was computed

Experiments may be published one by one: those that are not asked for stay as they are. Needs no torch.
"""

from __future__ import annotations

import functools
import json
import operator
import os
import shutil
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unibio import report
from unibio.errors import InputError
from unibio.report.page.html import linked
from unibio.report.pictures import draw_all
from unibio.report.sameness import CHANGE, different, sections_differ, table_differs
from unibio.store import lists, packs
from unibio.store.records import Record
from unibio.store.smallfiles import json_object
from unibio.store.thinning import Kept, placeless_command, thin
from unibio.store.writing import write_text
from unibio.studies import BY_NAME, CLAIMS, DRAWINGS, PLUGGED
from unibio.studies.common.claim import judge
from unibio.studies.common.document import Block, Paragraph
from unibio.studies.common.evidence import Evidence, MissingRecordsError, scale
from unibio.studies.common.study import Study

#: (runs,) or (rows,) of a record; None where nothing is left out, or nothing added.
Mask = NDArray[np.bool_] | None

#: Most bytes of published records: what a clone may carry for them.
MOST = 30 * 10**6

#: Which state gave which records, and the experiments of all studies, in order.
STATES = "experiments.json"
EXPERIMENTS = tuple(dict.fromkeys(name for study in BY_NAME.values() for name in study.experiments))

#: What decides numbers and verdicts; commits that touch nothing of it are of one state.
SOURCES = ("src", "conf")


def state_of(clone: Path) -> dict[str, str]:
    """{"commit", "src", "conf"}: of a clone whose tree is clean outside results/.

    Raises:
        InputError: it is no clone, or something is not committed.
    """
    changed = [line for line in _git(clone, "status", "--porcelain").splitlines() if " results/" not in line]
    if changed:
        raise InputError(
            f"the tree is not clean ({len(changed)} changes, first: {changed[0].strip()}): what is published has to "
            "follow from a commit; commit or stash them first"
        )
    trees = {name: _git(clone, "rev-parse", f"HEAD:{name}") for name in SOURCES}
    return {"commit": _git(clone, "rev-parse", "HEAD"), **trees}


def _git(clone: Path, *words: str) -> str:
    try:
        return subprocess.run(
            ("git", *words), cwd=clone, capture_output=True, text=True, check=True, timeout=60
        ).stdout.rstrip()
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"publishing needs a clone with git: {' '.join(words)} failed in {clone}") from error


def chosen(names: Sequence[str], evidence: Evidence) -> list[str]:
    """The experiments that have records, of the studies of these names, or of all where none is named.

    Raises:
        InputError: an unknown name, a study without records, or a plugin's study beside ours.
    """
    if PLUGGED:
        titles = ", ".join(part.title for part in PLUGGED)
        raise InputError(f"what is published is this project's alone ({titles}): publish where no plugin is")
    if unknown := [name for name in names if name not in BY_NAME]:
        raise InputError(f"no study {unknown[0]!r}; there are {', '.join(BY_NAME)}")
    found: dict[str, None] = {}
    for name in names or BY_NAME:
        here = [one for one in BY_NAME[name].experiments if evidence.records(one)]
        if names and not here:
            first = BY_NAME[name].experiments[0]
            raise InputError(f"study {name}: no records of {first}; run: {evidence.command(first)}")
        found |= dict.fromkeys(here)
    if not found:
        raise InputError(f"no records in {evidence.root}: run make reproduce first, or name them with RECORDS=DIR")
    return list(found)


def fit(experiments: Sequence[str], evidence: Evidence) -> list[Record]:
    """The records of the experiments.

    Raises:
        InputError: some are missing, damaged, stale, thinned or of scale smoke.
    """
    found = {record.name: record for name in experiments for record in evidence.records(name)}
    if wrong := [note for note in evidence.notes if note.partition(":")[0] in experiments]:
        raise InputError(wrong[0])
    if thinned := [record for record in found.values() if record.thinned]:
        raise InputError(f"{thinned[0].path} is a thinned record: publish from those that were computed")
    for name in experiments:
        if (said := scale(evidence.records(name))) == "smoke":
            raise InputError(f"{name} is of scale {said}, which proves nothing: run {name} with scale=paper")
    return list(found.values())


def publish(
    results: Path,
    experiments: Sequence[str],
    evidence: Evidence,
    state: Mapping[str, str],
    confirmed: Collection[str] = (),
) -> Path:
    """Replace ``results``/published; what it holds of other experiments stays.

    Args:
        results: directory that holds ``published``.
        experiments: whose records are published.
        evidence: that has them.
        state: :func:`state_of` the clone.
        confirmed: experiments that were published before, of which ``state`` is known to give the same records.

    Raises:
        InputError: the thinned records are too large, or a verdict on them, a number beside it, a table or a section
            of the report is another than on the whole ones.
    """
    made, published = results / ".published", results / "published"
    shutil.rmtree(made, ignore_errors=True)
    root, single = made / "records", made / "thinned"
    kept = [name for name in states(published) if name in EXPERIMENTS and name not in experiments]
    given = {name: evidence.records(name) for name in experiments}
    whole = Evidence(published / "records", given)  # as far as it is known still
    names = {name: [record.name for record in whole.records(name)] for name in (*experiments, *kept)}
    readers: dict[str, list[str]] = {}
    for experiment, members in names.items():
        for name in members:
            readers.setdefault(name, []).append(experiment)
    packed = set[str]()
    for experiment, members in names.items():
        mine = [record for record in whole.records(experiment) if record.name not in packed]
        if mine:
            packs.write(root, experiment, [thin(one, single, *_read(one, readers[one.name], whole)) for one in mine])
        packed |= {record.name for record in mine}
        command = (evidence if experiment in experiments else whole).command(experiment)
        lists.write_manifest(root, experiment, members, placeless_command(command))
    shutil.rmtree(single, ignore_errors=True)
    _check_size(root)
    noted = {name: states(published)[name] for name in kept} | {
        name: dict(state) for name in (*experiments, *confirmed)
    }
    write_text(made / STATES, json.dumps(noted, indent=1, sort_keys=True) + "\n")
    again = Evidence(root, called=published / "records")
    _check_verdicts(names.keys(), whole, again)
    _check_tables(experiments, names.keys(), whole, again)
    _check_sections(experiments, whole, again)
    draw_all(root, made, workers=os.cpu_count() or 1)
    page = report.write(root, made, evidence=again)
    page.write_text(linked(page.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.rmtree(published, ignore_errors=True)
    return made.rename(published)


def _read(record: Record, readers: Iterable[str], whole: Evidence) -> tuple[Kept, Mask, Mask]:
    """What the experiments that consist of a record read of it together, of which of its runs they show curves, and
    which rows they read besides."""
    read = [
        (
            study.reads(experiment),
            study.shown(whole, experiment, record),
            study.places(whole, experiment, record),
        )
        for experiment in readers
        for study in BY_NAME.values()
        if experiment in study.experiments
    ]
    kept = functools.reduce(operator.or_, (one for one, _, _ in read))
    shown = [one for _, one, _ in read if one is not None]
    places = [one for _, _, one in read if one is not None]
    return (
        kept,
        np.logical_or.reduce(shown) if len(shown) == len(read) else None,
        np.logical_or.reduce(places) if places else None,
    )


def states(published: Path) -> dict[str, dict[str, Any]]:
    """{experiment: :func:`state_of` when it was published, or last confirmed}."""
    noted = json_object(published / STATES, {}) or {}
    return {str(name): one for name, one in noted.items() if isinstance(one, dict)}


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two states have the same source and configuration, whatever the commits."""
    return all(one.get(name) == other.get(name) for name in SOURCES)


def unfinished(published: Path, state: Mapping[str, str]) -> Iterator[str]:
    """In words, each experiment that is not published, or not by this state of the source and the configuration."""
    noted = states(published)
    for name in EXPERIMENTS:
        if name not in noted:
            yield f"{name} is not published"
        elif not alike(noted[name], state):
            yield f"{name} was published by commit {str(noted[name].get('commit'))[:12]}, whose src or conf is another"


def _check_size(root: Path) -> None:
    sizes = {path.name: sum(file.stat().st_size for file in path.iterdir()) for path in (root / packs.FOLDER).iterdir()}
    if sum(sizes.values()) > MOST:
        largest = max(sizes, key=sizes.__getitem__)
        raise InputError(
            f"the thinned records have {sum(sizes.values()) / 1e6:.1f} MB, more than {MOST / 1e6:.0f} "
            f"(largest: {largest}, {sizes[largest] / 1e6:.1f} MB)"
        )


def _check_verdicts(experiments: Collection[str], whole: Evidence, thinned: Evidence) -> None:
    """Refuse thinned records that say something else."""
    for claim in CLAIMS:
        if not set(claim.experiments) <= set(experiments):
            continue
        said, shown = judge(claim, whole)[0], judge(claim, thinned)[0]
        if said.verdict != shown.verdict:
            raise InputError(
                f"thinned records change a verdict: {claim.id} is {shown.verdict!r} and not {said.verdict!r} "
                f"({shown.explanation}); give its study more points, so that more rows are kept"
            )
        if moved := different(said.numbers, shown.numbers):
            raise InputError(
                f"thinned records change the numbers of {claim.id} by more than {CHANGE:.0%}: {moved}; give its study "
                "more points, so that more rows are kept"
            )


def _check_tables(experiments: Collection[str], published: Collection[str], whole: Evidence, thinned: Evidence) -> None:
    """Refuse thinned records that give a figure's tables other numbers."""
    for name, drawing in DRAWINGS.items():
        if not set(drawing.experiments) & set(experiments) or not set(drawing.experiments) <= set(published):
            continue
        tables = drawing.draw(whole).tables
        for file, table in drawing.draw(thinned).tables.items():
            if moved := table_differs(tables[file], table):
                raise InputError(
                    f"thinned records change the table {file} of the figure {name} by more than {CHANGE:.0%}: {moved}; "
                    "have its study keep more points, bits or metrics (kept=Kept(…))"
                )


def _check_sections(experiments: Collection[str], whole: Evidence, thinned: Evidence) -> None:
    """Refuse thinned records that have a study's section say something else."""
    for name, study in BY_NAME.items():
        if not set(study.experiments) & set(experiments):
            continue
        if moved := sections_differ(_section(study, whole), _section(study, thinned)):
            raise InputError(
                f"thinned records change what the section of the study {name} says by more than {CHANGE:.0%}: {moved}; "
                "have the study keep more points, bits or metrics (kept=Kept(…))"
            )


def _section(study: Study, evidence: Evidence) -> list[Block]:
    try:
        return list(study.blocks(evidence))
    except (MissingRecordsError, InputError) as error:  # which the report then says in its place
        return [Paragraph(str(error))]
