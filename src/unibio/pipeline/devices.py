"""Which device a job runs on, and which there are."""

from __future__ import annotations

import itertools
import os

import torch

from unibio.errors import InputError


def pick_device(name: str) -> torch.device:
    """The device of a configuration; "auto" takes CUDA where there is one.

    Raises:
        InputError: CUDA asked for and not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        why = f"sees no CUDA device (nvidia-smi tells whether the driver is one for CUDA {torch.version.cuda})"
        if torch.version.cuda is None:
            why = "is a build without CUDA"
        raise InputError(f"device = cuda, but this PyTorch {why}; use device=cpu or device=auto")
    return torch.device(name)


def visible_gpus() -> list[str]:
    """The CUDA devices this process may use, as CUDA_VISIBLE_DEVICES names them; a negative number ends its list."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        names = [name.strip() for name in given.split(",") if name.strip()]
        return list(itertools.takewhile(lambda name: not name.startswith("-"), names))
    return [str(index) for index in range(torch.cuda.device_count())]


def default_workers(device: str) -> int:
    """One process per core on the CPU, one per GPU on CUDA."""
    if pick_device(device).type == "cuda":
        return max(1, len(visible_gpus()))
    return max(1, os.cpu_count() or 1)
