"""From nothing to figures and report: what ``make reproduce`` does."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from unibio import studies
from unibio.cli import searching
from unibio.errors import unknown
from unibio.pipeline.composing import Compose, composer, expand
from unibio.pipeline.conf import options
from unibio.pipeline.job import Job
from unibio.pipeline.launch import launch, report_failures
from unibio.pipeline.sweep import announce
from unibio.store import replays
from unibio.store.writing import write_text


def scale_of(name: str, asked: str, compose_one: Compose) -> str:
    """The scale at which an experiment is reproduced: the one asked for, or what ``reproduce_at`` puts in its place.

    Raises:
        InputError: an unknown scale.
    """
    instead = compose_one([f"experiment={name}", f"scale={asked}"]).reproduce_at
    return str(instead.get(asked, asked))


def experiments() -> list[str]:
    """Names of every experiment in ``conf/experiment``, a plugin's among them."""
    return options("experiment")


def reproduce(
    names: Sequence[str],
    scale: str,
    overrides: Sequence[str],
    out: Path,
    workers: int | None = None,
    where: Sequence[str] = ("launcher=processes",),
) -> list[Path]:
    """Run experiments, skipping what is recorded, then draw every figure and write the report.

    Args:
        names: experiments.
        scale: an option of ``conf/scale``; see :func:`scale_of`.
        overrides: Hydra overrides for all of them, e.g. ``tracker=none``.
        out: where figures, tables and report go.
        workers: processes of this machine; None takes one per GPU, or per core where there is none.
        where: more overrides, which say only where and whether jobs run, and stay out of the noted commands.

    Returns:
        What was written, the report last.

    Raises:
        InputError: an unknown experiment or a configuration that cannot work.
        Interrupted: asked to stop; the same call goes on from there.
        SystemExit: 1 if jobs failed or were left out, after everything else was done.
    """
    known = experiments()
    for name in names:
        if name not in known:
            raise unknown("experiment", name, known)
    began = time.monotonic()
    print(f"unibio: reading {len(names)} experiments", flush=True)
    pending: list[Job] = []
    refused = total = 0
    count = [] if workers is None else [f"launcher.workers={workers}"]
    with composer() as compose_one:
        scales = {name: scale_of(name, scale, compose_one) for name in names}
        for at in dict.fromkeys(scales.values()):
            words = [f"scale={at}", *overrides]
            ours = [name for name in names if scales[name] == at]
            jobs = [job for name in ours for job in expand([f"experiment={name}", *words, *where, *count], compose_one)]
            planned = announce(jobs, " ".join(["python -m unibio", *searching.given(), "experiment=*", *words]))
            pending += planned.pending
            refused += len(planned.refused)
            total += len(jobs)
    ended: list[bool] = []
    failures = launch(pending, lambda _, computed: ended.append(computed))
    report_failures(failures, total)
    found = f", {ended.count(False)} found or replayed" if False in ended else ""
    print(f"unibio: {ended.count(True)} jobs computed{found} in {time.monotonic() - began:.0f} s", flush=True)
    written = publish(jobs[0].root, out)
    if failures or refused:
        raise SystemExit(1)
    return written


def publish(root: Path, out: Path) -> list[Path]:
    """Draw all figures and write the report from records, unless they are up to date."""
    from unibio import report
    from unibio.report.pictures import draw_all, has_figures

    stamp, now = out / ".stamp", _fingerprint(root)
    listed = stamp.read_text(encoding="utf-8").splitlines() if stamp.is_file() else []
    paths = [out / line for line in listed[1:]]
    if listed and listed[0] == now and all(path.is_file() for path in paths):
        print(f"unibio: figures and report in {out} are up to date", flush=True)
        return paths
    print("unibio: drawing figures and writing the report", flush=True)
    paths = draw_all(root, out, workers=os.cpu_count() or 1) if has_figures(root) else []
    if not paths:
        print("unibio: no study draws what was run; unibio report NAME shows an experiment by itself", flush=True)
    paths.append(report.write(root, out))
    write_text(stamp, "\n".join([now, *(os.path.relpath(path, out) for path in paths)]) + "\n")
    return paths


def _fingerprint(root: Path) -> str:
    """Changes whenever a record, what is noted beside it, a manifest or the code that draws changes."""
    package = Path(__file__).parents[1]
    folders = [package / "studies", package / "report", *studies.folders()]
    sources = sorted(path for folder in folders for path in folder.rglob("*.*") if path.is_file())
    sources = [path for path in sources if path.suffix in (".py", ".css", ".js")]
    noted = [path for name in (".experiments/*.json", "*/done", f"*/{replays.FILE}") for path in root.glob(name)]
    hashed = hashlib.sha256()
    for path in [*sources, *sorted(path for path in noted if path.is_file())]:
        hashed.update(path.name.encode() + path.read_bytes())
    return hashed.hexdigest()
