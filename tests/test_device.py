"""What a device computes is what the CPU computes: on a stand-in that every machine has, and on CUDA where it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import standin
from unibio import Problem, compare, hypergradient, solve
from unibio import tensorfile as checkpoint
from unibio.api.estimating import ESTIMATORS
from unibio.core.problem import ProblemSpec
from unibio.core.spectrum import largest_eigenvalue
from unibio.data import DataSettings
from unibio.pipeline import batch, sizing
from unibio.pipeline import compute as jobs
from unibio.pipeline.composing import composer
from unibio.pipeline.compute import run_job
from unibio.pipeline.job import Job, job_from
from unibio.problems.example3 import Coordinatewise, Example3
from unibio.problems.lp_regression import LpRegression
from unibio.problems.nli.cleaning import NLICleaning
from unibio.problems.quadratic import Quadratic
from unibio.registry import ALGORITHMS, PROBLEMS, VARIANTS, algorithm_class
from unibio.simulation.settings import Settings
from unibio.simulation.simulate import simulate
from unibio.simulation.trajectories import Interrupted, Trajectories

REQUIRES_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(params=["standin", pytest.param("cuda", marks=[pytest.mark.gpu, REQUIRES_CUDA])])
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    if request.param == "cuda":
        yield torch.device("cuda")
        return
    with standin.present() as there:
        yield there


@pytest.fixture(autouse=True)
def _short_power_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation on the stand-in takes some fifty microseconds, a Hessian–vector product has hundreds of them."""
    monkeypatch.setitem(largest_eigenvalue.__kwdefaults__, "iterations", 2)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> DataSettings:
    cache = str(tmp_path_factory.mktemp("pairs"))
    return DataSettings(train=36, valid=18, test=10, dimension=6, cache=cache)


@pytest.fixture(scope="module")
def network(pairs: DataSettings) -> Problem:
    """Built, and looked at by the library, once for all methods."""
    return NLICleaning(pairs=pairs, width=5, noise_rate=0.3, test=True).build()


@pytest.fixture(scope="module")
def quadratic() -> Problem:
    """The same for methods on batches of runs."""
    return Quadratic(size_lower=12, size_upper=12).build()


def same(there: Tensor, here: Tensor) -> None:
    """Equal to the last bit on the stand-in, whose arithmetic is the CPU's, and to rounding on CUDA."""
    assert there.device.type != "cpu", "it was not computed there"
    if isinstance(there, standin.Far):
        assert torch.equal(there.cpu(), here)
    else:
        torch.testing.assert_close(there.cpu(), here, **ROUNDING[here.dtype])


#: What CUDA may differ by from the CPU after a few iterations.
ROUNDING = {torch.float64: {"rtol": 1e-9, "atol": 1e-9}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}


def same_history(there: pd.DataFrame, here: pd.DataFrame, precise: bool, dtype: torch.dtype = torch.float64) -> None:
    one, other = (frame.drop(columns="seconds") for frame in (there, here))
    if dtype == torch.float32 and not precise:  # a rounding may turn a prediction, and an accuracy by one of 10 pairs
        assert one.columns.equals(other.columns)
        np.testing.assert_allclose(one.to_numpy(float), other.to_numpy(float), rtol=1e-3, atol=0.11)
    else:
        rounding = {} if precise else {"rtol": 1e-6, "atol": 1e-9}
        pd.testing.assert_frame_equal(one, other, check_exact=precise, **rounding)


def compared(spec: ProblemSpec | Problem, algorithm: str, device: torch.device, **arguments: Any) -> None:
    """``solve`` there and on the CPU; starts are close enough for three iterations not to tell roundings apart."""
    arguments = {"steps": 3, "seed": [0, 1], "log_points": 2} | arguments
    here, there = (solve(spec, algorithm, device=where, **arguments) for where in ("cpu", device))
    same(there.x, here.x)
    same(there.y, here.y)
    assert there.status == here.status
    same_history(there.history, here.history, device.type == standin.NAME, arguments.get("dtype", torch.float64))


#: Few of everything that methods repeat.
FEW = dict.fromkeys(("lower_iterations", "auxiliary_iterations", "penalised_iterations", "neumann_terms"), 2)
FEW |= {"batch_size": 6, "inner_budget": 15, "warm_budget": 15}


def few(name: str) -> dict[str, int]:
    return {key: value for key, value in FEW.items() if key in algorithm_class(name).__dataclass_fields__}


def one_of_each_kind(names: Iterable[str], kept: Collection[str]) -> list[Any]:
    """All of them, those beside one of each kind among the long tests."""
    return [name if name in kept else pytest.param(name, marks=pytest.mark.slow) for name in sorted(names)]


# Every method, every problem ------------------------------------------------------------------------------------------
@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", one_of_each_kind(set(ALGORITHMS) - {"unibio_released"}, {"unibio", "saba", "f2sa"}))
def test_every_method_on_the_network(name: str, device: torch.device, network: Problem) -> None:
    compared(network, name, device, seed=0, **few(name))


@pytest.mark.one_in(12)
@pytest.mark.parametrize(
    "name",
    one_of_each_kind(
        {*ALGORITHMS, *VARIANTS} - {"unibio_released"},
        {"unibio", "bo_rep", "stocbio", "saba", "vrbo", "f2sa", "proximal_momentum", "bome", "pbgd"},
    ),
)
def test_every_method_on_batches_of_runs(name: str, device: torch.device, quadratic: Problem) -> None:
    compared(quadratic, name, device, **few(name))


@pytest.mark.parametrize(
    ("noise", "weights"),
    [("once", "frozen"), ("once", "learned"), ("none", "learned"), ("released", "learned")],
)
@pytest.mark.slow
def test_every_noise_and_the_frozen_twin(noise: str, weights: str, device: torch.device, pairs: DataSettings) -> None:
    spec = NLICleaning(pairs=pairs, width=5, noise_rate=0.3, noise=noise, weights=weights, exponent=4)
    compared(spec.build(), "unibio_plain", device, seed=0, batch_size=10, epochs=1.0, steps=None, dtype=torch.float32)


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    "name",
    one_of_each_kind(set(PROBLEMS) - {"nli_cleaning"}, {"example3", "hoelder", "lp_regression", "representation"}),
)
def test_every_problem(name: str, device: torch.device) -> None:
    # One method of second order with everything carried along, one of first order.
    problem = PROBLEMS[name]().build()
    for algorithm in ("ma_soba", "f2sa"):
        compared(problem, algorithm, device, **few(algorithm))


@pytest.mark.one_in(4)
@pytest.mark.parametrize("spec", [Example3(exponent=6, noise=1.0), Coordinatewise(noise=1.0)])
def test_the_paper_s_method_where_d_vanishes(spec: ProblemSpec, device: torch.device) -> None:
    compared(spec, "unibio", device, steps=20, seed=range(4), upper_step=[0.01, 0.05])


@pytest.mark.one_in(2)
def test_saga_s_tables(device: torch.device) -> None:
    small = LpRegression(size_lower=12, size_upper=9, size_test=20, dimension=4)
    for batch_size in (3, 5):  # equal blocks, and unequal ones, which a single run may have
        compared(small, "saba", device, batch_size=batch_size, seed=[0, 1] if batch_size == 3 else 0)


def test_the_released_script_s_method(device: torch.device) -> None:
    compared(Example3(), "unibio_released", device)


# Losses of one's own --------------------------------------------------------------------------------------------------
def lower(x: Tensor, y: Tensor) -> Tensor:
    return (y**4).sum() / 4 - y @ x + 0.1 * y[0] * y[1] * x[0]


def upper(x: Tensor, y: Tensor) -> Tensor:
    return ((y**3 - 1) ** 2).sum() / 2


#: What the library found when it first looked at them, on either device, is there for all estimators and methods.
OWN_LOSSES = Problem(upper, lower, exponent=4)


@cache
def small_quadratic() -> Problem:
    return Quadratic(dimension_x=3, dimension_y=3).build()


@pytest.mark.one_in(6)
@pytest.mark.parametrize("algorithm", ["unibio", "soba", "bome"])
def test_derivatives_by_autograd(algorithm: str, device: torch.device) -> None:
    compared(OWN_LOSSES, algorithm, device, x0=[0.5, 1.0], y0=[0.8, 1.1], seed=0)


@pytest.mark.one_in(12)
@pytest.mark.parametrize("estimator", [name for name in ESTIMATORS if name != "kkt"])
def test_an_estimate_of_the_hypergradient(estimator: str, device: torch.device) -> None:
    for problem, dimension in ((OWN_LOSSES, 2), (small_quadratic(), 3)):
        x, y = (
            torch.full((2, dimension), 0.5, dtype=torch.float64),
            torch.full((2, dimension), 0.8, dtype=torch.float64),
        )
        options = {"estimator": estimator, "seed": 1}
        if estimator.endswith("neumann"):
            options |= {"neumann_terms": 5, "neumann_step": 0.1}
        here, there = (hypergradient(problem, x, y, device=where, **options) for where in ("cpu", device))
        same(there, here)


def test_an_estimate_on_a_polytope(device: torch.device) -> None:
    problem = PROBLEMS["polytope"]().build()
    x = problem.start[0]
    y = problem.closed_form.solution(x[None])[0]
    here, there = (hypergradient(problem, x, y, estimator="kkt", device=where) for where in ("cpu", device))
    same(there, here)


def test_metrics_that_are_counted_on_the_cpu(device: torch.device) -> None:
    problem = Problem(upper, lower, exponent=4, metrics=lambda x, y: {"count": (y.cpu() > 1).double().sum(-1)})
    compared(problem, "soba", device, x0=[0.5, 1.0], y0=[0.8, 1.1], seed=0)


@pytest.mark.one_in(2)
def test_comparing_methods(device: torch.device) -> None:
    arguments: dict[str, Any] = {"budget": 60, "seed": [0, 1], "metric": "hypergradient_norm"}
    here, there = (
        compare(Coordinatewise(), ["unibio", "soba"], device=where, **arguments) for where in ("cpu", device)
    )
    same_history(there.history, here.history, device.type == standin.NAME)


# Diverged rows, interruptions, whole jobs -----------------------------------------------------------------------------
@pytest.mark.one_in(2)
def test_rows_that_diverge(device: torch.device) -> None:
    compared(Quadratic(), "soba", device, steps=60, lower_step=[0.1, 100.0])


def interrupted(
    problem: Problem, name: str, path: Path, seeds: list[int], *places: torch.device
) -> tuple[Trajectories, Trajectories]:
    """Six iterations on the first of three devices; and two on each, the next going on from a checkpoint."""
    algorithm = algorithm_class(name)(**few(name))
    assert problem.start is not None

    def run(where: torch.device, settings: Settings, stop_at: int | None = None) -> Trajectories:
        x, y = (part.to(where).expand(len(seeds), -1).clone() for part in problem.start)
        done: list[int] = []
        return simulate(
            problem, algorithm, x, y, seeds=seeds, settings=settings, progress=done.append,
            should_stop=lambda: len(done) == stop_at,
        )  # fmt: skip

    kept = Settings(steps=6, log_points=4, check=False, checkpoint=path / "checkpoint.pt")
    for done, there in zip((2, 4), places, strict=False):
        with pytest.raises(Interrupted, match=f"stopped at iteration {done}"):
            run(there, kept, stop_at=2)
    again = run(places[-1], kept)
    assert again.resumed_from == 4
    assert again.x.device.type == places[-1].type
    return run(places[0], Settings(steps=6, log_points=4, check=False)), again


@pytest.mark.parametrize("name", ["unibio", "saba"])
@pytest.mark.slow
def test_an_interrupted_network_goes_on_to_the_same_numbers(
    name: str, device: torch.device, network: Problem, tmp_path: Path
) -> None:
    """To the last bit on any device: nothing that is summed in no particular order may be in its way."""
    whole, again = interrupted(network, name, tmp_path, [3], device, device, device)
    assert torch.equal(again.x.cpu(), whole.x.cpu())
    assert torch.equal(again.y.cpu(), whole.y.cpu())
    same_history(again.history, whole.history, precise=True)


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    "name",
    one_of_each_kind(
        {*ALGORITHMS, *VARIANTS} - {"unibio_released"},
        {"unibio", "saba", "vrbo", "f2sa", "proximal_momentum"},
    ),
)
def test_a_checkpoint_goes_from_the_cpu_to_a_device_and_back(name: str, device: torch.device, tmp_path: Path) -> None:
    """A job is the same job wherever it runs: what a GPU began, a machine without one may finish."""
    problem = Quadratic(size_lower=12, size_upper=12).build()
    here = torch.device("cpu")
    whole, again = interrupted(problem, name, tmp_path, [3, 1], here, device, here)
    precise = device.type == standin.NAME
    np.testing.assert_allclose(again.x.numpy(), whole.x.numpy(), rtol=0, atol=0 if precise else 1e-9)
    same_history(again.history, whole.history, precise)


def test_a_checkpoint_of_cuda_is_read_without_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        checkpoint.save(tmp_path / "checkpoint.pt", {"state": {"x": torch.ones(2)}})
    found = checkpoint.load(tmp_path / "checkpoint.pt")
    assert found is not None
    assert found["state"]["x"].is_cpu


def network_job(pairs: DataSettings, root: Path, where: str, epochs: int) -> Job:
    with composer() as compose_one:
        words = ["problem=nli_cleaning", "problem.width=4", "problem.test=true", "algorithm=unibio_plain"]
        words += [f"data.cache={pairs.cache}", "data.train=36", "data.valid=18", "data.test=10", f"epochs={epochs}"]
        words += ["steps=null", "algorithm.batch_size=6", "dtype=float64", "tracker=none", "progress=false"]
        return job_from(compose_one([*words, f"device={where}", f"records={root / where}"]))


@pytest.mark.slow
def test_a_whole_job(
    device: torch.device, pairs: DataSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``device=cuda`` from configuration to record."""
    here = run_job(network_job(pairs, tmp_path, "cpu", epochs=1)).record
    for module in (jobs, batch):
        monkeypatch.setattr(module, "pick_device", lambda name: device)
    there = run_job(network_job(pairs, tmp_path, "cuda", epochs=1)).record
    same_history(there.history, here.history, device.type == standin.NAME)
    assert {"cleaning_auc", "test_accuracy", "weight_spread"} <= set(there.history)
    assert there.name == here.name, "where it was computed is not part of what it is"


@pytest.mark.slow
def test_sizing_up_a_job(
    device: torch.device, pairs: DataSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizing, "pick_device", lambda name: device)
    size = sizing.measure(network_job(pairs, tmp_path, "cuda", epochs=2))
    assert size.iterations == 8  # two epochs are 12 minibatches, and every other iteration takes three of them


# The stand-in itself --------------------------------------------------------------------------------------------------
def test_the_stand_in_finds_what_cuda_would() -> None:
    here = torch.ones(3)
    with standin.present() as there:
        far = here.to(there)
        assert far.device == torch.device(standin.NAME, 0) != there
        for mistake in (
            lambda: far + here,
            lambda: here[far > 0],
            lambda: torch.stack([far, here]),
            lambda: far.index_select(0, torch.tensor([0])),
            lambda: torch.where(here > 0, far, far),
            lambda: torch.addmm(far, here[None], far[:, None]),
        ):
            with pytest.raises(RuntimeError, match="expected all tensors on one device"):
                mistake()
        with pytest.raises(RuntimeError, match="should be gels on CUDA"):
            torch.linalg.lstsq(far[:, None], far[:, None], driver="gelsd")
        for unreadable in (far.numpy, lambda: np.asarray(far)):
            with pytest.raises(TypeError, match=r"Use Tensor\.cpu"):
                unreadable()
        far[1:] *= 2  # views share their numbers, and a number is no tensor
        far[torch.tensor([0])] = torch.tensor(5.0)
        assert far.cpu().equal(torch.tensor([5.0, 2.0, 2.0]))
        assert torch.tensor([1, 2], device=there).sum().item() == 3
        far.requires_grad_()
        (slope,) = torch.autograd.grad((far**2).sum(), far)
        assert slope.cpu().equal(torch.tensor([10.0, 4.0, 4.0]))
