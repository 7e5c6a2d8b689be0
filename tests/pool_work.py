"""What processes of a pool do in tests in place of :mod:`unibio.pipeline.worker`; they import it by its name.

torch is imported where it is needed, so that a process which is to die at once does so at once.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def losing_a_gpu(config: dict[str, Any], folder: Path) -> tuple[str, Any]:
    """Jobs that note who they are: that of seed 1 loses its device while that of seed 0 waits for one of all others."""
    import torch

    from unibio.pipeline import worker
    from unibio.pipeline.compute import Ended
    from unibio.pipeline.job import Job

    def noting(job: Job, wait: bool) -> Ended:
        def noted(seed: int) -> Path:
            return job.root / f"seed-{seed}"

        def until_noted(seed: int) -> None:
            deadline = time.monotonic() + 120
            while not noted(seed).exists():
                assert time.monotonic() < deadline, f"nobody has computed the job of seed {seed}"
                time.sleep(0.02)

        seed = job.config["seed"]
        gpu, initialized = os.environ["CUDA_VISIBLE_DEVICES"], torch.cuda.is_initialized()
        noted(seed).write_text(json.dumps({"process": os.getpid(), "gpu": gpu, "initialized": initialized}))
        if seed == 0:
            until_noted(3)
        if seed == 1:
            until_noted(0)
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        return Ended(None, computed=True)  # type: ignore[arg-type]

    worker.finish_job = noting  # type: ignore[assignment]
    return worker.work(config, folder)


def leaving(config: dict[str, Any], folder: Path) -> tuple[str, Any]:
    """Jobs whose process ends as if all were well, in the middle of that of seed 1."""
    from unibio.pipeline import worker

    finish = worker.finish_job

    def left(job: Any, wait: bool) -> Any:
        if job.config["seed"] == 1:
            os._exit(0)
        return finish(job, wait=wait)

    worker.finish_job = left
    return worker.work(config, folder)


def deaf(config: dict[str, Any], folder: Path) -> tuple[str, Any]:
    """A job that hears no request to stop."""
    (Path(config["records"]) / f"process-{os.getpid()}").touch()
    time.sleep(600)
    return "finished", True


def begin_late(folder: Path, gpus: Sequence[str]) -> None:
    """Processes that die, until one has left a mark."""
    mark = Path(os.environ["UNIBIO_TEST_MARKS"], "died")
    if not mark.exists():
        mark.touch()
        os._exit(1)
    from unibio.pipeline import worker

    worker.begin(folder, gpus)


def never_begin(folder: Path, gpus: Sequence[str]) -> None:
    """Processes that all die."""
    os._exit(1)
