"""Where and by what a record was made."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from unibio.pipeline.job import Job
from unibio.store.codehash import code_hash

_VERSIONS = ("torch", "numpy", "pandas", "hydra-core", "omegaconf")


def circumstances_of(job: Job, device: torch.device | None) -> dict[str, Any]:
    """Command, code hash, commit, versions, hardware and data of a job that is computed now.

    Nothing of the environment. ``data`` is what the problem tells of its data, see
    :meth:`~unibio.core.problem.ProblemSpec.provenance`.

    Args:
        job: which.
        device: of this machine, that computes it; None where another machine's did, whose hardware is not known here.
    """
    modules = job.modules
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "modules": modules,
        "code_hash": code_hash(modules),
        "git": _git(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _VERSIONS}},
        **({} if device is None else {"hardware": _hardware(device)}),
        "threads": job.config["threads"],
        **({} if (data := job.problem.provenance()) is None else {"data": data}),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def commit() -> str:
    """The commit of the code that runs, marked where the tree differs from it; "" outside a clone."""
    git = _git()
    return str(git.get("commit", "")) + ("+" if git.get("dirty") else "")


def _hardware(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {"device": name, "processor": _processor(), "cores": os.cpu_count()}


@lru_cache(maxsize=1)
def _git() -> dict[str, Any]:
    """Commit of the code that runs, and whether the tree differs from it; empty outside a clone."""

    def ask(*words: str) -> str:
        return subprocess.run(
            ("git", *words), cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {}


@lru_cache(maxsize=1)
def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
