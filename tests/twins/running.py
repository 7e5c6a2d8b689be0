"""Real runs without files: a configuration, and perhaps another algorithm in its place, to what studies read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from synthetic import FakeRecord
from unibio.core.algorithm import Algorithm
from unibio.pipeline.batch import simulation
from unibio.pipeline.job import job_from
from unibio.simulation.rows import history_table, runs_table


def run(
    problem: Mapping[str, Any],
    algorithm: Mapping[str, Any],
    grid: Mapping[str, Any],
    broken: type[Algorithm] | None = None,
    **more: Any,
) -> FakeRecord:
    """What the pipeline computes of a job, in memory.

    Args:
        problem, algorithm, grid: of the configuration.
        broken: a subclass of the algorithm that is run in its place; the record does not know.
        more: further keys of the configuration.
    """
    job = job_from({"problem": dict(problem), "algorithm": dict(algorithm), "grid": dict(grid), **DEFAULTS, **more})
    if broken is not None:
        fields = {field.name: getattr(job.algorithm, field.name) for field in dataclasses.fields(job.algorithm)}
        vars(job)["algorithm"] = broken(**fields)  # in the place of what is made when it is first asked for
    outcome = simulation(job)
    runs = runs_table(outcome, job.table)
    summary = {"status": "completed", "seconds": outcome.seconds, "warnings": [], "modules": []}
    return FakeRecord(job.name, job.config, summary, history_table(outcome, job.table), runs)


DEFAULTS: dict[str, Any] = {"device": "cpu", "log_points": 60, "check": False}
