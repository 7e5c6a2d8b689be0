"""The finite-sum quadratic: derivatives, closed forms, samples, generated and loaded data."""

import numpy as np
import pytest
import torch

from references.quadratic import QuadraticBilevel, random_problem
from second_order import oracle_for, pair
from unibio.core.problem import Problem
from unibio.core.streams import Draw, Streams
from unibio.errors import InputError
from unibio.problems.quadratic import Quadratic, from_arrays

BATCHES = [None, 1, 5]


def points(problem, rows=3, seed=0):
    x0, y0 = problem.start
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, d, generator=generator, dtype=torch.float64) for d in (len(x0), len(y0), len(y0))]


@pytest.mark.parametrize("size", BATCHES)
@pytest.mark.parametrize("kind", ["low rank", "dense"])
def test_own_derivatives_are_the_losses(kind, size):
    """Every own derivative against autograd of the loss, per row, each row on its own minibatch."""
    spec = Quadratic(dimension_x=4, dimension_y=6, size_lower=17, size_upper=13, rank=2)
    problem = spec.build() if kind == "low rank" else pair()[0]
    plain = Problem(
        problem.upper, problem.lower, sample_upper=problem.sample_upper, sample_lower=problem.sample_lower,
        size_upper=problem.size_upper, size_lower=problem.size_lower, batched=True,
    )  # fmt: skip
    x, y, v = points(problem)
    for _ in range(2):
        own, auto = (oracle_for(p, (0, 1, 2), batch_size=size) for p in (problem, plain))
        for name in ("grad_upper", "grad_upper_x", "grad_upper_y", "grad_lower", "grad_lower_x"):
            torch.testing.assert_close(getattr(own, name)(x, y), getattr(auto, name)(x, y))
        torch.testing.assert_close(own.hvp(x, y, v), auto.hvp(x, y, v))
        torch.testing.assert_close(own.jvp(x, y, v), auto.jvp(x, y, v))
        torch.testing.assert_close(own.counts(), auto.counts())


def test_closed_forms():
    """y*, φ, ∇φ and x* against NumPy and finite differences."""
    problem, reference, x0, _ = pair()
    known, x = problem.closed_form, torch.from_numpy(x0)[None]
    np.testing.assert_allclose(known.solution(x)[0], reference.lower_solution(x0), rtol=1e-12)
    np.testing.assert_allclose(known.gradient(x)[0], reference.hypergradient(x0), rtol=1e-11)
    assert known.value(x).item() == pytest.approx(reference.value(x0), rel=1e-12)
    h = 1e-5
    slopes = [(reference.value(x0 + h * e) - reference.value(x0 - h * e)) / (2 * h) for e in np.eye(4)]
    np.testing.assert_allclose(known.gradient(x)[0], slopes, rtol=1e-7)
    assert np.linalg.norm(reference.hypergradient(known.minimiser.numpy())) < 1e-11
    assert known.minimiser.shape == (4,)


def test_metrics():
    problem, reference, x0, y0 = pair()
    x, y = torch.from_numpy(x0)[None], torch.from_numpy(y0)[None]
    metrics = {name: value.item() for name, value in problem.metrics(x, y).items()}
    star = reference.value(problem.closed_form.minimiser.numpy())
    assert metrics["hypergradient_norm"] == pytest.approx(np.linalg.norm(reference.hypergradient(x0)), rel=1e-11)
    assert metrics["value_gap"] == pytest.approx(reference.value(x0) - star, rel=1e-10)
    assert metrics["lower_error"] == pytest.approx(np.linalg.norm(y0 - reference.lower_solution(x0)), rel=1e-11)
    at_optimum = problem.metrics(problem.closed_form.minimiser[None], y)
    assert at_optimum["value_gap"].item() < 1e-20


@pytest.mark.parametrize("condition", [1.0, 10.0, 1000.0])
def test_generated_condition_number(condition):
    problem = Quadratic(condition=condition, dimension_x=3, dimension_y=8, size_lower=20).build()
    eye = torch.eye(8, dtype=torch.float64)
    eigenvalues = torch.linalg.eigvalsh(problem.derivatives["hvp"](None, None, eye, None))
    assert (eigenvalues[-1] / eigenvalues[0]).item() == pytest.approx(condition, rel=1e-8)
    assert eigenvalues[-1].item() == pytest.approx(1.0)


@pytest.mark.parametrize("dimensions", [(1, 1), (5, 2), (2, 5)])
def test_any_shape_has_a_minimiser(dimensions):
    problem = Quadratic(dimension_x=dimensions[0], dimension_y=dimensions[1], size_lower=7, size_upper=3).build()
    gradient = problem.closed_form.gradient(problem.closed_form.minimiser[None])
    assert gradient.norm() < 1e-10
    value = problem.closed_form.value
    assert value(problem.closed_form.minimiser[None]) < value(problem.start[0][None])


def test_minibatches_average_to_the_full_batch():
    """Over one epoch the minibatch derivatives average to the full one, and single samples do differ."""
    problem = Quadratic(dimension_x=4, dimension_y=6, size_lower=12, size_upper=12).build()
    x, y, v = points(problem, rows=1)
    full = oracle_for(problem).hvp(x, y, v)
    oracle = oracle_for(problem, batch_size=3)
    parts = torch.stack([oracle.hvp(x, y, v) for _ in range(4)])
    torch.testing.assert_close(parts.mean(0), full)
    assert (parts - full).norm() > 0.01 * full.norm()


def test_shared_matrices_when_rank_is_zero():
    problem = Quadratic(dimension_x=4, dimension_y=6, size_lower=12, rank=0).build()
    x, y, v = points(problem, rows=1)
    torch.testing.assert_close(oracle_for(problem, batch_size=3).hvp(x, y, v), oracle_for(problem).hvp(x, y, v))


def test_memory_of_low_rank_parts():
    """n = 1,024 at d = 1,000: dense samples would take 98 GB; what is kept is counted, at a tenth of the size."""
    n, d = 1024, 100
    problem = Quadratic(dimension_x=d, dimension_y=d, size_lower=n, size_upper=n).build()
    seen, total = set(), 0
    stack = [cell.cell_contents for loss in (problem.lower, problem.upper) for cell in loss_cells(loss)]
    while stack:
        held = stack.pop()
        if id(held) in seen:
            continue
        seen.add(id(held))
        if isinstance(held, torch.Tensor):
            total += held.numel()
        elif isinstance(held, dict):
            stack.extend(held.values())
        elif hasattr(held, "__dict__"):
            stack.extend(vars(held).values())
    per_level = 3 * 2 * d * d + (d + d + 2 * d) * n + 2 * d * n + 2 * d  # matrices, low-rank parts, vectors and means
    assert 0.9 * 2 * per_level < total < 1.1 * 2 * per_level
    assert 6 * 2 * 1000**2 * 8 + 6 * 2 * 1000 * n * 8 < 0.25e9


def loss_cells(loss):
    """A bound method's object, as a cell-like."""
    return [type("Cell", (), {"cell_contents": loss.__self__})]


def test_file_round_trip(tmp_path):
    arrays = random_problem(5, 3, 4, 6)
    np.savez(tmp_path / "problem.npz", x0=np.full(3, 0.5), **arrays)
    problem = Quadratic(path=str(tmp_path / "problem.npz")).build()
    assert problem.start[0].tolist() == [0.5] * 3
    assert problem.start[1].tolist() == [0.0] * 4
    reference = QuadraticBilevel.of(arrays)
    np.testing.assert_allclose(problem.closed_form.gradient(torch.zeros(1, 3, dtype=torch.float64))[0],
                               reference.hypergradient(np.zeros(3)), rtol=1e-11)  # fmt: skip


def test_bad_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"problem\.path.*absent\.npz"):
        Quadratic(path=str(tmp_path / "absent.npz")).build()
    arrays = random_problem(5, 3, 4, 6)
    with pytest.raises(InputError, match="lacks f_lin_x"):
        from_arrays({key: value for key, value in arrays.items() if key != "f_lin_x"})
    with pytest.raises(InputError, match="g_hess_y must be"):
        from_arrays(arrays | {"g_hess_y": arrays["g_hess_x"]})
    with pytest.raises(InputError, match="not finite"):
        from_arrays(arrays | {"f_lin_y": np.full((6, 4), np.nan)})
    skewed = arrays["g_hess_y"] + np.triu(np.ones((4, 4)), 1)
    with pytest.raises(InputError, match="symmetric"):
        from_arrays(arrays | {"g_hess_y": skewed})
    with pytest.raises(InputError, match="positive definite"):
        from_arrays(arrays | {"g_hess_y": -arrays["g_hess_y"]})


def test_sampler_leaves_the_full_batch_to_precomputed_means():
    problem = pair()[0]
    streams = Streams([0, 1])
    assert problem.sample_lower(Draw(streams, "lower", 0, None)) is None
    assert problem.sample_lower(Draw(streams, "lower", 0, 12)) is None
    assert problem.sample_lower(Draw(streams, "lower", 0, 5)).shape == (2, 5)
