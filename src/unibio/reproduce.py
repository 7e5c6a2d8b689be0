"""From nothing to figures and report: what ``make reproduce`` does."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from unibio import records
from unibio.config import Job, conf_dir
from unibio.errors import unknown
from unibio.launch import launch, report_failures, workers_of
from unibio.sweep import announce, composer, expand


def scale_of(name: str, asked: str) -> str:
    """The scale of an experiment: the paper's network wants a GPU for hours, and is asked for by itself."""
    return "laptop" if name.startswith("nli") and asked == "paper" else asked


def experiments() -> list[str]:
    """Names of every experiment in ``conf/experiment``."""
    return sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))


def reproduce(
    names: Sequence[str],
    scale: str,
    overrides: Sequence[str],
    out: Path,
    workers: int | None = None,
    where: Sequence[str] = ("launcher=joblib",),
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
        for at in dict.fromkeys(scale_of(name, scale) for name in names):
            words = [f"scale={at}", *overrides]
            ours = [name for name in names if scale_of(name, scale) == at]
            jobs = [job for name in ours for job in expand([f"experiment={name}", *words, *where, *count], compose_one)]
            planned = announce(jobs, " ".join(["python -m unibio experiment=*", *words]), workers_of(jobs[0]))
            pending += planned.pending
            refused += len(planned.refused)
            total += len(jobs)
    failures = launch(pending, lambda *_: None)
    report_failures(failures, total)
    print(f"unibio: {len(pending) - len(failures)} jobs computed in {time.monotonic() - began:.0f} s", flush=True)
    written = publish(jobs[0].root, out)
    if failures or refused:
        raise SystemExit(1)
    return written


def publish(root: Path, out: Path) -> list[Path]:
    """Draw all figures and write the report from records, unless they are up to date."""
    from unibio import report
    from unibio.figures import draw_all

    stamp, now = out / ".stamp", _fingerprint(root)
    listed = stamp.read_text(encoding="utf-8").splitlines() if stamp.is_file() else []
    paths = [out / line for line in listed[1:]]
    if listed and listed[0] == now and all(path.is_file() for path in paths):
        print(f"unibio: figures and report in {out} are up to date", flush=True)
        return paths
    print("unibio: drawing figures and writing the report", flush=True)
    paths = [*draw_all(root, out, workers=os.cpu_count() or 1), report.write(root, out)]
    records.write_text(stamp, "\n".join([now, *(os.path.relpath(path, out) for path in paths)]) + "\n")
    return paths


def _fingerprint(root: Path) -> str:
    """Changes whenever a record, a manifest or the code that draws changes."""
    here = Path(__file__).parent
    sources = [*sorted(here.glob("analysis/*.py")), *sorted(here.glob("figures/*.py"))]
    sources += [*sorted(here.glob("report/*.py")), here / "document.py", *sorted(here.glob("page.*"))]
    sealed = sorted([*root.glob(".experiments/*.json"), *root.glob("*/done")])
    hashed = hashlib.sha256()
    for path in [*sources, *sealed]:
        hashed.update(path.name.encode() + path.read_bytes())
    return hashed.hexdigest()
