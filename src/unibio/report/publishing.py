"""What is under version control: thinned records, and the figures, tables and verdicts that follow from them alone.

    results/published/
        records/          thinned records and their lists, see :mod:`unibio.store.thinning`
        figures/ tables/  as `make figures RECORDS=results/published/records` makes them
        index.html report.md claims.json
        studies.json      by which state of the source and the configuration each study was computed

Studies may be published one by one: those that are not named stay as they are. Needs no torch.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import numbers
import operator
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unibio import report
from unibio.errors import InputError
from unibio.report.page.html import linked
from unibio.report.pictures import draw_all
from unibio.store import records
from unibio.store.records import Record
from unibio.store.smallfiles import json_object
from unibio.store.thinning import Kept, placeless_command, thin
from unibio.store.writing import write_text
from unibio.studies import BY_NAME, CLAIMS, PLUGGED
from unibio.studies.common.claim import judge
from unibio.studies.common.evidence import Evidence, scale
from unibio.studies.common.study import Study

#: Most bytes of published records: what a clone may carry for them.
MOST = 30 * 10**6

#: How much a verdict's numbers may change by thinning: relative, and what is nothing beside it.
CHANGE, NOTHING = 0.02, 0.002

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


def chosen(names: Sequence[str], evidence: Evidence) -> dict[str, Study]:
    """The studies of these names; those with any record where none is named.

    Raises:
        InputError: an unknown name, no records, or a plugin's study beside ours.
    """
    if PLUGGED:
        titles = ", ".join(part.title for part in PLUGGED)
        raise InputError(f"what is published is this project's alone ({titles}): publish where no plugin is")
    if unknown := [name for name in names if name not in BY_NAME]:
        raise InputError(f"no study {unknown[0]!r}; there are {', '.join(BY_NAME)}")
    studies = {
        name: study
        for name, study in BY_NAME.items()
        if name in names or (not names and any(evidence.records(one) for one in study.experiments))
    }
    if not studies:
        raise InputError(f"no records in {evidence.root}: run make reproduce first, or name them with RECORDS=DIR")
    return studies


def fit(studies: Mapping[str, Study], evidence: Evidence) -> list[Record]:
    """The records of the studies.

    Raises:
        InputError: an experiment has none; some are missing, damaged, stale, thinned or of scale smoke.
    """
    found: dict[str, Record] = {}
    for name, study in studies.items():
        for experiment in study.experiments:
            if not evidence.records(experiment):
                raise InputError(f"study {name}: no records of {experiment}; run: {evidence.command(experiment)}")
            found |= {record.name: record for record in evidence.records(experiment)}
    experiments = [one for study in studies.values() for one in study.experiments]
    if wrong := [note for note in evidence.notes if note.partition(":")[0] in experiments]:
        raise InputError(wrong[0])
    if thinned := [record for record in found.values() if record.thinned]:
        raise InputError(f"{thinned[0].path} is a thinned record: publish from those that were computed")
    for experiment in experiments:
        if (said := scale(evidence.records(experiment))) == "smoke":
            raise InputError(
                f"{experiment} is of scale {said}, which proves nothing: run {experiment} with scale=paper"
            )
    return list(found.values())


def publish(results: Path, studies: Mapping[str, Study], evidence: Evidence, state: Mapping[str, str]) -> Path:
    """Replace ``results``/published; what it holds of other studies stays.

    Raises:
        InputError: the thinned records are too large, or a verdict on them, or a number beside it, is another than on
            the whole ones.
    """
    made, published = results / ".published", results / "published"
    shutil.rmtree(made, ignore_errors=True)
    root = made / "records"
    roots = [one for one in (evidence.root, published / "records") if one is not None]
    readers = _readers({*studies, *states(published)}, roots)
    before = Evidence(published / "records")

    def looked_at(name: str) -> Evidence:
        return evidence if name in studies else before

    for experiment, found in _experiments(studies.values(), evidence).items():
        for record in found:
            if not (root / record.name).exists():
                thin(record, root, *_read(record, sorted(readers[record.name]), looked_at))
        command = placeless_command(evidence.command(experiment))
        records.write_manifest(root, experiment, [one.name for one in found], command)
    others = {name: study for name, study in BY_NAME.items() if name not in studies and name in states(published)}
    _keep(published / "records", root, others.values(), readers, looked_at)
    _check_size(root)
    noted = {name: one for name, one in states(published).items() if name in BY_NAME} | {
        name: dict(state) for name in studies
    }
    write_text(made / "studies.json", json.dumps(noted, indent=1, sort_keys=True) + "\n")
    again = Evidence(root, called=published / "records")
    _check_verdicts(studies, evidence, again)
    _check_verdicts(others, before, again)
    draw_all(root, made, workers=os.cpu_count() or 1)
    page = report.write(root, made, evidence=again)
    page.write_text(linked(page.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.rmtree(published, ignore_errors=True)
    return made.rename(published)


def _experiments(studies: Iterable[Study], evidence: Evidence) -> dict[str, Sequence[Record]]:
    """The records of every experiment of the studies."""
    return {name: evidence.records(name) for study in studies for name in study.experiments}


def _readers(names: Iterable[str], roots: Iterable[Path]) -> dict[str, set[tuple[str, str]]]:
    """{record: the studies, each with its experiment, that read it}, of the studies of these names."""
    found: dict[str, set[tuple[str, str]]] = {}
    for name, root in itertools.product(sorted(BY_NAME.keys() & set(names)), list(roots)):
        for experiment in BY_NAME[name].experiments:
            for record in (records.manifest(root, experiment) or {"records": ()})["records"]:
                found.setdefault(record, set()).add((name, experiment))
    return found


def _read(
    record: Record, readers: Iterable[tuple[str, str]], looked_at: Callable[[str], Evidence]
) -> tuple[Kept, NDArray[np.bool_] | None]:
    """What its readers together read of a record, and of which of its runs they show curves."""
    read = [
        (BY_NAME[name].reads(experiment), BY_NAME[name].shown(looked_at(name), experiment, record))
        for name, experiment in readers
    ]
    kept = functools.reduce(operator.or_, (one for one, _ in read))
    shown = [one for _, one in read if one is not None]
    return kept, np.logical_or.reduce(shown) if len(shown) == len(read) else None


def states(published: Path) -> dict[str, dict[str, Any]]:
    """{study: :func:`state_of` when it was published}."""
    noted = json_object(published / "studies.json", {}) or {}
    return {str(name): one for name, one in noted.items() if isinstance(one, dict)}


def unfinished(published: Path, state: Mapping[str, str]) -> Iterator[str]:
    """In words, each study that is not published, or not by this state of the source and the configuration."""
    noted = states(published)
    for name in BY_NAME:
        if name not in noted:
            yield f"{name} is not published"
        elif any(noted[name].get(one) != state[one] for one in SOURCES):
            yield f"{name} was published by commit {str(noted[name].get('commit'))[:12]}, whose src or conf is another"


def _keep(
    old: Path,
    root: Path,
    studies: Iterable[Study],
    readers: Mapping[str, Iterable[tuple[str, str]]],
    looked_at: Callable[[str], Evidence],
) -> None:
    """Copy the records of studies that were published before, without what nobody reads of them any more."""
    for study in studies:
        for experiment in study.experiments:
            noted = records.manifest(old, experiment)
            if noted is None:
                continue
            for name in noted["records"]:
                record = records.find(old / name)
                if record is not None and not (root / name).exists():
                    thin(record, root, *_read(record, sorted(readers[name]), looked_at))
            records.write_manifest(root, experiment, noted["records"], placeless_command(noted["command"]))


def _check_size(root: Path) -> None:
    sizes = {path.name: sum(file.stat().st_size for file in path.iterdir()) for path in root.iterdir() if path.is_dir()}
    if sum(sizes.values()) > MOST:
        largest = max(sizes, key=sizes.__getitem__)
        raise InputError(
            f"the thinned records have {sum(sizes.values()) / 1e6:.1f} MB, more than {MOST / 1e6:.0f} "
            f"(largest: {largest}, {sizes[largest] / 1e6:.1f} MB)"
        )


def _check_verdicts(studies: Mapping[str, Study], whole: Evidence, thinned: Evidence) -> None:
    """Refuse thinned records that say something else."""
    experiments = {one for study in studies.values() for one in study.experiments}
    for claim in CLAIMS:
        if not experiments.issuperset(claim.experiments):
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


def different(whole: Any, thinned: Any, where: str = "") -> str:
    """Where and how numbers differ by more than ``CHANGE``, in words, the first place; "" where they do not.

    Args:
        whole: a verdict's numbers, nested as they are.
        thinned: the same, from thinned records.
        where: the keys that led here.
    """
    if isinstance(whole, Mapping) and isinstance(thinned, Mapping):
        if whole.keys() != thinned.keys():
            return f"{where or 'keys'}: {sorted(map(str, thinned))} and not {sorted(map(str, whole))}"
        below = (different(one, thinned[key], f"{where}.{key}" if where else str(key)) for key, one in whole.items())
        return next(filter(None, below), "")
    if isinstance(whole, (list, tuple)) and isinstance(thinned, (list, tuple)) and len(whole) == len(thinned):
        below = (
            different(one, other, f"{where}[{k}]") for k, (one, other) in enumerate(zip(whole, thinned, strict=True))
        )
        return next(filter(None, below), "")
    if isinstance(whole, numbers.Real) and isinstance(thinned, numbers.Real):
        near = math.isclose(whole, thinned, rel_tol=CHANGE, abs_tol=NOTHING) or (whole != whole and thinned != thinned)
    else:
        near = bool(whole == thinned)
    return "" if near else f"{where}: {thinned!r} and not {whole!r}"
