"""Fifty kills: nothing is computed twice that a checkpoint holds, and the numbers are those of an undisturbed run."""

from __future__ import annotations

from pathlib import Path

import pytest

from stress.kills import campaign
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.job import Job


def one(words: list[str], root: Path) -> Job:
    """The job of some overrides with its records in a directory."""
    with composer() as compose_one:
        (job,) = expand([*words, f"records={root}"], compose_one)
    return job


def test_fifty_kills(tmp_path: Path) -> None:
    words = ["steps=800", "problem.noise=1", "+grid.seed={count: 20}", "checkpoint_seconds=0.03", "tracker=none"]
    done = campaign(lambda root: one(words, root), tmp_path, kills=50, in_writes=20)
    print(f"\n{done}")
    assert done.kills >= 50
    assert done.in_writes >= 10
    assert done.with_checkpoint >= 30


#: Epoch-SGD with its averages and periods; SPIDER's carried directions; tables of all blocks.
METHODS = {
    "unibio": ["algorithm.period=2", "algorithm.inner_budget=12", "algorithm.floor=0.5", "algorithm.neumann_terms=3"],
    "vrbo": ["algorithm.period=3", "algorithm.checkpoint_batch_size=12", "algorithm.neumann_terms=3"],
    "saba": ["algorithm.table_limit=1"],
}


@pytest.mark.parametrize("method", METHODS)
def test_twenty_kills_of_the_network(method: str, tmp_path: Path) -> None:
    """Minibatches in epochs and prepared ahead, labels flipped once, and what is kept of a point, on top of states."""
    pairs = ["data.train=36", "data.valid=14", "data.test=10", "data.dimension=6", f"data.cache={tmp_path}/pairs"]
    words = ["problem=nli_cleaning", *pairs, "problem.width=5", f"algorithm={method}", *METHODS[method], "steps=200"]
    words += ["algorithm.batch_size=6", "algorithm.lower_step=0.1", "algorithm.upper_step=0.5", "device=cpu"]
    words += ["checkpoint_seconds=0.02", "log_points=9", "tracker=none"]
    done = campaign(lambda root: one(words, root), tmp_path, kills=20, in_writes=8)
    print(f"\n{method}: {done}")
    assert done.kills >= 20
    assert done.in_writes >= 8
    assert done.with_checkpoint >= 10
