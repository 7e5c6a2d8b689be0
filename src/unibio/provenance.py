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

from unibio.codehash import code_hash
from unibio.config import Job
from unibio.data.account import recorded
from unibio.problems.nli_cleaning import NLICleaning

_VERSIONS = ("torch", "numpy", "pandas", "hydra-core", "omegaconf")


def modules_of(job: Job) -> list[str]:
    """The modules whose code, with all that they import, computes a job."""
    return sorted({"unibio.run", type(job.problem).__module__, type(job.algorithm).__module__})


def circumstances_of(job: Job, device: torch.device | None) -> dict[str, Any]:
    """Command, code hash, commit, versions, hardware and data of a job that is computed now.

    Nothing of the environment. ``data`` is there for problems about sentence pairs, see :func:`recorded`.

    Args:
        job: which.
        device: of this machine, that computes it; None where another machine's did, whose hardware is not known here.
    """
    modules = modules_of(job)
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "modules": modules,
        "code_hash": code_hash(modules),
        "git": _git(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _VERSIONS}},
        **({} if device is None else {"hardware": _hardware(device)}),
        "threads": job.config["threads"],
        **({"data": recorded(job.problem.data())} if isinstance(job.problem, NLICleaning) else {}),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


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
