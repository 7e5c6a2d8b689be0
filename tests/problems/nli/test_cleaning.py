"""Hyper-cleaning of sentence pairs: derivatives, labels, frozen twins, metrics, memory, and going on after a kill."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from given import given
from support import finite_difference, oracle_of
from unibio import solve
from unibio.algorithms.saba import SABA
from unibio.algorithms.stocbio import StocBiO
from unibio.algorithms.unibio import PlainUniBiO
from unibio.core.hypergradients import generalised_neumann
from unibio.core.oracle import Oracle
from unibio.core.streams import Draw, Streams
from unibio.core.updates import descend
from unibio.data import DataSettings, flip_labels
from unibio.errors import InputError
from unibio.pipeline.composing import composer
from unibio.pipeline.compute import run_job
from unibio.pipeline.job import job_from
from unibio.problems.nli import memory as nli_memory
from unibio.problems.nli import network as nli_network
from unibio.problems.nli.cleaning import NLICleaning, precision
from unibio.problems.nli.network import Sentences
from unibio.problems.nli.pair_rnn import Architecture, At
from unibio.store.records import digest


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> NLICleaning:
    """36 generated pairs, 5 units, vectors of 6 components."""
    cache = str(tmp_path_factory.mktemp("pairs"))
    pairs = DataSettings(train=36, valid=14, test=10, dimension=6, cache=cache)
    return NLICleaning(pairs=pairs, width=5, noise_rate=0.3, test=True)


def rows(spec: NLICleaning, runs: int = 1, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """λ and weights, spread around the start."""
    generator = torch.Generator().manual_seed(seed)
    x, y = (start.expand(runs, -1) for start in spec.build().start)
    return tuple(t + 0.3 * torch.randn(t.shape, generator=generator, dtype=torch.float64) for t in (x, y))


# Derivatives ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("p", [2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_derivatives_are_those_of_finite_differences(spec: NLICleaning, p: int) -> None:
    problem = dataclasses.replace(spec, exponent=p, regulariser=0.05).build()
    x, y = rows(spec)
    oracle = oracle_of(problem, x, y, batch_size=11)
    upper, lower = oracle.sample_upper(), oracle.sample_lower()
    f_x, f_y = oracle.grad_upper(x, y, upper)
    assert not f_x.any()

    def of_y(which: str) -> np.ndarray:
        def value(w: np.ndarray) -> float:
            f, g = oracle.values(x, torch.from_numpy(w)[None], upper, lower)
            return float(f if which == "upper" else g)

        return finite_difference(value, y[0].numpy(), 1e-5)  # a larger step would change which tokens win

    def of_x(lam: np.ndarray) -> float:
        return float(oracle.values(torch.from_numpy(lam)[None], y, upper, lower)[1])

    np.testing.assert_allclose(f_y[0], of_y("upper"), rtol=0, atol=1e-9)
    np.testing.assert_allclose(oracle.grad_lower(x, y, lower)[0], of_y("lower"), rtol=0, atol=1e-9)
    np.testing.assert_allclose(oracle.grad_lower_x(x, y, lower)[0], finite_difference(of_x, x[0].numpy()), atol=1e-9)

    v, h = torch.randn(y.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64), 1e-5
    ahead, behind = y + h * v, y - h * v
    along = (oracle.grad_lower(x, ahead, lower) - oracle.grad_lower(x, behind, lower)) / (2 * h)
    torch.testing.assert_close(oracle.hvp(x, y, v, lower), along, rtol=0, atol=1e-7)
    mixed = (oracle.grad_lower_x(x, ahead, lower) - oracle.grad_lower_x(x, behind, lower)) / (2 * h)
    torch.testing.assert_close(oracle.jvp(x, y, v, lower), mixed, rtol=0, atol=1e-8)


def test_a_large_batch_is_the_sum_of_its_parts(spec: NLICleaning, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rows(spec)
    v = torch.randn(y.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def everything() -> list[torch.Tensor]:
        oracle = oracle_of(spec.build(), x, y)
        lower = oracle.sample_lower()
        return [oracle.grad_lower(x, y, lower), oracle.hvp(x, y, v, lower), oracle.jvp(x, y, v, lower),
                oracle.grad_upper(x, y)[1], *oracle.values(x, y)]  # fmt: skip

    whole = everything()
    monkeypatch.setattr(nli_network, "AT_ONCE", 7)
    for one, other in zip(whole, everything(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_rows_are_independent(spec: NLICleaning) -> None:
    x, y = rows(spec, 2)
    together = oracle_of(spec.build(), x, y, [3, 8], batch_size=9)
    found = [together.grad_lower(x, y), together.hvp(x, y, y), together.jvp(x, y, y), together.grad_upper(x, y)[1]]
    for i, seed in enumerate((3, 8)):
        alone = oracle_of(spec.build(), x[i : i + 1], y[i : i + 1], [seed], batch_size=9)
        a, b = x[i : i + 1], y[i : i + 1]
        expected = [alone.grad_lower(a, b), alone.hvp(a, b, b), alone.jvp(a, b, b), alone.grad_upper(a, b)[1]]
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one[i], other[0], rtol=0, atol=1e-14)


def test_what_is_kept_of_a_point_is_not_used_at_another(spec: NLICleaning) -> None:
    x, y = rows(spec)
    oracle = oracle_of(spec.build(), x, y, batch_size=9)
    lower, other = oracle.sample_lower(), oracle.sample_lower()
    here = oracle.grad_lower(x, y, lower)
    assert torch.equal(oracle.grad_lower(x, y, lower), here)
    moved = y.clone()
    assert torch.equal(oracle.grad_lower(x, moved, lower), here)
    moved += 0.1  # the same memory, written into
    fresh = oracle_of(spec.build(), x, moved, batch_size=9)
    expected = fresh.grad_lower(x, moved, fresh.sample_lower())
    assert not torch.equal(expected, here)
    torch.testing.assert_close(oracle.grad_lower(x, moved, lower), expected, rtol=0, atol=0)
    assert not torch.equal(oracle.grad_lower(x, moved, other), expected)
    heavier = x + 1.0
    v = torch.ones_like(y)
    light = oracle.hvp(x, y, v, lower)
    assert not torch.allclose(oracle.hvp(heavier, y, v, lower), light)
    torch.testing.assert_close(oracle.hvp(x, y, v, lower), light, rtol=0, atol=0)


def test_the_floor_of_d_changes_nothing_at_p_2_and_truncated_sums_at_p_3(spec: NLICleaning) -> None:
    found = {}
    for p in (2, 3):
        problem = dataclasses.replace(spec, exponent=p).build()
        x, y = rows(spec)
        for floor in (1e-3, 0.5):
            oracle = oracle_of(problem, x, y, batch_size=9)
            found[p, floor] = generalised_neumann(oracle, x, y, terms=3, step=0.01, floor=floor)
    assert torch.equal(found[2, 1e-3], found[2, 0.5])
    assert not torch.allclose(found[3, 1e-3], found[3, 0.5])


def test_below_the_configured_floor_p_3_has_the_classical_sum(spec: NLICleaning) -> None:
    """D_δ = (p − 1)δ^{p−2} = 1 at δ = ½: the Neumann step means the same for p = 2 and p = 3."""
    x, y = (start[None] for start in spec.build().start)
    assert float(y.abs().max()) < 0.5
    found = [
        generalised_neumann(oracle, x, y, terms=3, step=0.3, floor=0.5)
        for problem in (dataclasses.replace(spec, exponent=p, regulariser=0.0).build() for p in (2, 3))
        for oracle in [oracle_of(problem, x, y, batch_size=9)]
    ]
    torch.testing.assert_close(*found, rtol=1e-12, atol=0)


# Labels ---------------------------------------------------------------------------------------------------------------
def draw(index: int = 0, size: int | None = None) -> Draw:
    return Draw(Streams([0]), "lower", index, size)


def test_only_training_labels_are_flipped_and_once(spec: NLICleaning) -> None:
    data, problem = spec.data(), spec.build()
    noisy, flipped = flip_labels(data.train.label, 0.3, spec.noise_seed)
    assert 0 < int(flipped.sum()) < 36
    for index in range(3):
        place, label = problem.sample_lower(draw(index, 10))
        assert torch.equal(label[0], noisy[place[0]])
        place, label = problem.sample_upper(draw(index, 10))
        assert torch.equal(label[0], data.valid.label[place[0]])
    clean = dataclasses.replace(spec, noise="none").build()
    assert torch.equal(clean.sample_lower(draw())[1][0], data.train.label)


def test_the_released_noise_is_redrawn_and_touches_validation(spec: NLICleaning) -> None:
    data = spec.data()
    problem = dataclasses.replace(spec, noise="released", noise_rate=0.5).build()
    reads = [problem.sample_lower(draw(index))[1][0] for index in (0, 1, 0)]
    assert torch.equal(reads[0], reads[2]), "a sample must be a function of its draw"
    assert not torch.equal(reads[0], reads[1])
    assert any(not torch.equal(problem.sample_upper(draw(index))[1][0], data.valid.label) for index in range(3))
    metrics = problem.metrics(*(start[None] for start in problem.start))
    assert not {"cleaning_auc", "cleaning_precision", "noisy_accuracy"} & set(metrics)


# Controls and metrics -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "algorithm",
    ["unibio", "saba", "vrbo", "unibio_plain", "stocbio", "bo_rep"],
)
@pytest.mark.slow
def test_a_frozen_twin_takes_the_same_lower_steps_without_weighting(spec: NLICleaning, algorithm: str) -> None:
    """The twin is what the method does when λ is projected back onto its start."""
    settings = {"steps": 4, "batch_size": 8, "lower_step": 0.2, "upper_step": 1.0, "log_points": 3}
    settings |= {"warm_budget": 5} if algorithm == "bo_rep" else {}
    settings |= {"inner_budget": 5} if algorithm == "unibio" else {}
    settings |= {"floor": 0.5, "neumann_step": 0.1} if algorithm.startswith("unibio") else {}
    frozen = solve(dataclasses.replace(spec, weights="frozen"), algorithm, **settings)
    problem = spec.build()
    problem.project_upper = torch.ones_like
    projected = solve(problem, algorithm, **settings)
    assert torch.equal(frozen.x, torch.ones_like(frozen.x))
    torch.testing.assert_close(frozen.y, projected.y, rtol=0, atol=0)
    learned = solve(spec, algorithm, **settings)
    assert not torch.equal(learned.x, frozen.x)
    counts = ["grad_lower", "lower_samples", "samples", "oracle_calls"]
    pd.testing.assert_series_equal(learned.history.iloc[-1][counts], frozen.history.iloc[-1][counts])


def test_unibio_plain_takes_n_steps_a_period(spec: NLICleaning) -> None:
    problem, algorithm = spec.build(), PlainUniBiO(lower_iterations=2, period=3, lower_step=0.1, batch_size=8)
    x, y = (start[None] for start in problem.start)
    oracle, by_hand = (oracle_of(problem, x, y, batch_size=8) for _ in range(2))
    state = algorithm.init(oracle, x, y)
    for _ in range(2):
        y = descend(y, 0.1, by_hand.grad_lower(x, y))
    assert torch.equal(state["y"], y)
    expected = [2, 2, 2, 4, 4, 4, 6]
    for count in expected:
        state = algorithm.step(oracle, state)
        assert oracle.counts()["grad_lower"].item() == count
    assert float((state["x"] - x).norm()) <= 7 * algorithm.upper_step * (1 + 1e-12)


def test_metrics_are_what_they_say(spec: NLICleaning) -> None:
    problem, data = spec.build(), spec.data()
    x, y = rows(spec)
    noisy, flipped = flip_labels(data.train.label, 0.3, spec.noise_seed)
    found = {name: value.item() for name, value in problem.metrics(x, y).items()}
    net = Architecture(6, 5)
    for split, label, name in [
        (data.train, data.train.label, "train_accuracy"),
        (data.train, noisy, "noisy_accuracy"),
        (data.valid, data.valid.label, "valid_accuracy"),
        (data.test, data.test.label, "test_accuracy"),
    ]:
        sentences = Sentences(split, data.vectors.double())
        right = [
            At(net, y[0], sentences.pairs(torch.tensor([i]), label[i : i + 1])).logits.argmax().item() == label[i]
            for i in range(len(split))
        ]
        assert found[name] == pytest.approx(np.mean(right)), name
    clean, wrong = x[0][~flipped], x[0][flipped]
    assert found["cleaning_auc"] == pytest.approx((clean[:, None] > wrong).double().mean().item())
    least = x[0].argsort()[: len(wrong)]
    assert found["cleaning_precision"] == pytest.approx(flipped[least].double().mean().item())
    assert found["weight_spread"] == pytest.approx(torch.sigmoid(x[0]).std(correction=0).item())
    assert "test_accuracy" not in dataclasses.replace(spec, test=False).build().metrics(x, y)


def test_no_separation_is_chance(spec: NLICleaning) -> None:
    problem = spec.build()
    found = problem.metrics(*(start[None] for start in problem.start))
    _, flipped = flip_labels(spec.data().train.label, 0.3, spec.noise_seed)
    assert found["cleaning_auc"].item() == 0.5
    assert found["cleaning_precision"].item() == pytest.approx(flipped.double().mean().item())
    assert found["weight_spread"].item() == pytest.approx(0, abs=1e-12)
    ties = torch.tensor([0.0, 1, 1, 1, 2])
    wrong = torch.tensor([True, True, False, False, False])
    assert precision(ties, wrong).item() == pytest.approx((1 + 1 / 3) / 2)


# Memory ---------------------------------------------------------------------------------------------------------------
def test_a_network_that_cannot_fit_is_refused_before_the_first_step(
    spec: NLICleaning, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[torch.device] = []
    monkeypatch.setattr(nli_memory, "available", lambda device: asked.append(device) or 1e4)
    with pytest.raises(InputError, match=r"problem.width = 5 needs about .* GiB for its 178 weights, and cpu has"):
        solve(spec, "stocbio", steps=1, batch_size=8)
    assert asked == [torch.device("cpu")]
    with pytest.raises(InputError, match=r"and cuda:1 has 9.31e-06 GiB left; use a smaller width or batch"):
        spec.check_memory(PlainUniBiO(), 1, torch.float32, torch.device("cuda:1"))


def test_tables_are_asked_for_with_the_network(spec: NLICleaning, monkeypatch: pytest.MonkeyPatch) -> None:
    """As much as SABA's first state has, and memory for both; one byte less is refused."""
    problem, algorithm = spec.build(), SABA(batch_size=2)
    x, y = (start.expand(2, -1).clone() for start in problem.start)
    state = algorithm.init(Oracle(problem, Streams([0, 1]), 2), x, y)
    tables = spec.tables(algorithm, 2, torch.float64)
    assert tables == 8 * sum(value.numel() for key, value in state.items() if key.endswith(" table"))
    needed = spec.memory(algorithm, 2, torch.float64)
    assert needed - spec.memory(StocBiO(batch_size=2), 2, torch.float64) == tables
    cpu = torch.device("cpu")
    monkeypatch.setattr(nli_memory, "available", lambda device: needed)
    spec.check_memory(algorithm, 2, torch.float64, cpu)
    monkeypatch.setattr(nli_memory, "available", lambda device: needed - 1)
    with pytest.raises(InputError, match=r"for its 178 weights and the method's tables \(.* GiB\), and cpu has"):
        spec.check_memory(algorithm, 2, torch.float64, cpu)


def test_weights_that_fit_nowhere_are_refused_before_they_are_made(
    spec: NLICleaning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three million million weights, on this very machine."""

    def start(*_: object) -> None:
        raise AssertionError("it began to make them")

    monkeypatch.setattr(Architecture, "start", start)
    wide = dataclasses.replace(spec, width=10**6)
    for attempt in (wide.build, lambda: solve(wide, "stocbio", steps=1, batch_size=8)):
        with pytest.raises(InputError, match=r"problem.width = 1000000 needs about [\d.e+]+ GiB for its 3,\d+,\d+,\d+"):
            attempt()


# Configuration --------------------------------------------------------------------------------------------------------
SMALL = ["data.train=36", "data.valid=14", "data.test=10", "problem.width=4", "epochs=2", "steps=null"]


@pytest.mark.slow
def test_configuration_of_the_data(tmp_path: Path) -> None:
    base = [f"data.cache={tmp_path}", *SMALL]
    with composer() as compose_one:
        job = job_from(compose_one(["problem=nli_cleaning", *base]))
        assert job.config["data"]["source"] == "generated"
        assert job.config["data_hash"] == job.problem.data().content
        assert "pairs" not in job.config["problem"]
        again = job_from(job.portable())
        assert again.problem == job.problem
        assert digest(again.config) == digest(job.config)
        other = job_from(compose_one(["problem=nli_cleaning", *base, "data.seed=1"]))
        assert digest(other.config) != digest(job.config)
        longer = job_from(compose_one(given("problem=nli_cleaning", *base, "epochs=3")))
        assert digest(longer.config) != digest(job.config)
        elsewhere = job_from(compose_one(["problem=nli_cleaning", *SMALL, f"data.cache={tmp_path}/other"]))
        assert digest(elsewhere.config) == digest(job.config)
        seeds = job_from(compose_one(["problem=nli_cleaning", *base, "seed=7"])).config["problem"]
        assert (seeds["noise_seed"], seeds["init_seed"]) == (7, 7)
        with pytest.raises(InputError, match=r"data\.dir is missing"):
            job_from(compose_one(["problem=nli_cleaning", "data=directory"]))
        with pytest.raises(InputError, match="problem quadratic reads no sentence pairs"):
            job_from(compose_one(["problem=quadratic", "data=generated", *base[:1]]))
        without = {**job.portable(), "data": None}
        with pytest.raises(InputError, match="data is missing"):
            job_from(without)


# Going on after a kill ------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_kill_9_and_the_same_job_give_the_uninterrupted_history(tmp_path: Path) -> None:
    arguments = [
        "problem=nli_cleaning", "algorithm=saba", *SMALL[:3], "problem.width=4", "steps=400", "algorithm.batch_size=6",
        "algorithm.lower_step=0.2", "algorithm.upper_step=50", f"data.cache={tmp_path}/data", "tracker=none",
        "device=cpu", "log_points=9", "checkpoint_seconds=0.05", "progress=false",
    ]  # fmt: skip
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with composer() as compose_one:
        jobs = {folder: job_from(compose_one([*arguments, f"records={folder}"])) for folder in (whole, broken)}
    run_job(jobs[whole])
    environment = os.environ | {"PYTHONPATH": str(Path(nli_network.__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "unibio", *arguments, f"records={broken}"],
        cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None and not list(broken.glob("*/checkpoint-*.pt")):
        time.sleep(0.003)
    process.send_signal(signal.SIGKILL)  # in the middle of whatever it does after its first checkpoint
    assert process.wait(60) == -signal.SIGKILL, "the run ended before it could be killed; make it longer"
    assert run_job(jobs[broken]).record.summary["resumed_from"] > 0
    one, other = (pd.read_parquet(next(folder.glob("*/history.parquet"))) for folder in (whole, broken))
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), other.drop(columns="seconds"), check_exact=True)
