"""Whole runs with compiled loops are runs without them, to the bit, wherever the loops come in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from support import assert_same
from unibio import Coordinatewise, Example3
from unibio.algorithms.bo_rep import BOREP
from unibio.algorithms.unibio import UniBiO
from unibio.core import compiled
from unibio.core.algorithm import Algorithm
from unibio.core.problem import ProblemSpec
from unibio.simulation.grid import grid_of, with_rows
from unibio.simulation.settings import Settings
from unibio.simulation.simulate import simulate
from unibio.simulation.trajectories import Interrupted, Trajectories

CASES = {
    "example3": (Example3(noise=1.0), UniBiO(upper_step=0.02, lower_step=0.3)),
    "last": (Example3(exponent=6, noise=0.1, upper_noise=0.3), UniBiO(average="last", first_radius=0.1, period=3)),
    "no noise": (Example3(exponent=2), UniBiO(neumann_terms=1)),
    "no step": (Example3(noise=1.0), UniBiO(inner_budget=3, warm_budget=50)),
    "diverging": (Example3(noise=1.0), UniBiO(lower_step=1.3, first_radius=1e30)),
    "coordinatewise": (Coordinatewise(dimension=5, noise=0.5, upper_noise=0.1), UniBiO(neumann_samples="shared")),
    "classical": (Coordinatewise(dimension=2, noise=0.5), UniBiO(estimator="classical")),
    "bo-rep": (Example3(noise=1.0), BOREP()),
}


def run(problem: ProblemSpec, algorithm: Algorithm, runs: int = 4, **asked) -> Trajectories:
    built = problem.build()
    dtype = asked.pop("dtype", torch.float64)
    settings = Settings(
        steps=60, log_points=30, targets={"hypergradient_norm": [0.3, 0.1]}, **asked.pop("settings", {})
    )
    x, y = (start.to(dtype).expand(runs, -1).clone() for start in built.start)
    return simulate(built, algorithm, x, y, seeds=asked.pop("seeds", range(runs)), settings=settings, **asked)


@pytest.mark.one_in(2)
@pytest.mark.filterwarnings("ignore:Epoch-SGD takes no step")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["64", "32"])
@pytest.mark.parametrize("case", CASES)
def test_a_compiled_run_is_the_plain_one(case: str, dtype: torch.dtype) -> None:
    """History, first hits, counts and results; rows that diverge end alike."""
    found = []
    for on in (False, True):
        with compiled.forced(on):
            found.append(run(*CASES[case], dtype=dtype))
    assert_same(*found)
    assert ("diverged" in found[0].status) == (case == "diverging")


@pytest.mark.parametrize("case", ["example3", "coordinatewise"])
def test_a_run_continues_with_loops_or_without(case: str, tmp_path: Path) -> None:
    """A checkpoint of either goes on as the other, and loops may be loaded in the middle of a run."""
    with compiled.forced(False):
        whole = run(*CASES[case])
    for first in (False, True):
        done: list[int] = []
        settings = {"checkpoint": tmp_path / f"{first}.pt"}
        with compiled.forced(first), pytest.raises(Interrupted):
            run(*CASES[case], settings=settings, progress=done.append, should_stop=lambda done=done: len(done) == 25)
        with compiled.forced(not first):
            resumed = run(*CASES[case], settings=settings)
        assert resumed.resumed_from == 25
        assert_same(whole, resumed)

    def switch(iteration: int) -> None:
        compiled._forced = iteration % 20 < 10

    with compiled.forced(False):
        assert_same(whole, run(*CASES[case], progress=switch))


def test_a_grid_of_steps_noises_and_seeds() -> None:
    """Rows that share seeds, with hyper-parameters of their own, in a batch and alone."""
    table = grid_of({"noise": [0.1, 1.0], "upper_step": [0.01, 0.05], "lower_step": [0.1, 0.3], "seed": [3, 1, 2]})
    like = torch.ones(1, dtype=torch.float64)
    problem = with_rows(Example3(), ["noise"], table, like)
    algorithm = with_rows(UniBiO(), ["upper_step", "lower_step"], table, like)
    found = []
    for on in (False, True):
        with compiled.forced(on):
            found.append(run(problem, algorithm, runs=len(table), seeds=table["seed"].tolist()))
    assert_same(*found)
    row = 17
    noise, upper, lower, seed = (table[name].iloc[row] for name in ("noise", "upper_step", "lower_step", "seed"))
    with compiled.forced(True):
        alone = run(Example3(noise=noise), UniBiO(upper_step=upper, lower_step=lower), runs=1, seeds=[int(seed)])
    torch.testing.assert_close(alone.y[0], found[1].y[row], rtol=0, atol=1e-12)
