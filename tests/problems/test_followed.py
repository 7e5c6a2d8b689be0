"""Methods that are followed by more than x and y: what their problems measure, and that following changes nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from second_order import oracle_for
from unibio import Problem, solve
from unibio.algorithms.followed import FOLLOWED
from unibio.core.followed import parts
from unibio.errors import InputError
from unibio.problems.error_bound import proximal_residual
from unibio.problems.followed import FollowedPLNonconvex, FollowedWells, _Wells, residual
from unibio.problems.known_target import KnownTarget
from unibio.problems.pl_nonconvex import _Built
from unibio.registry import algorithm_class

SPECS = {
    "wells": FollowedWells(dimension=3, condition=4.0, noise=0.1, upper_noise=0.2),
    "point": FollowedPLNonconvex(dimension_x=2, dimension_y=2, noise=0.1),
    "manifold": FollowedPLNonconvex(dimension_x=2, dimension_y=4, noise=0.1),
}
NAMES = [cls.name for cls in FOLLOWED]
#: Steps that are stable on all of them.
STEPS: dict[str, Any] = {"upper_step": 0.01, "lower_step": 0.2, "penalty": 20.0, "schedule": "both"}


def settings(name: str) -> dict[str, Any]:
    return STEPS | ({"penalised_step": 0.01} if name.startswith("f2sa") else {})


def rows(k: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(k, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.one_in(9)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("on", SPECS)
def test_following_changes_no_iterate_and_no_count(on: str, name: str) -> None:
    problem = SPECS[on].build()
    plain = dataclasses.replace(problem, buffers=None, metrics=lambda x, y: {}, averaged=())
    given: dict[str, Any] = {"steps": 12, "seed": [3, 4], "log_points": 13, **settings(name)}
    one, other = solve(problem, name, **given), solve(plain, name.removesuffix("_followed"), **given)
    assert torch.equal(one.x, other.x)
    assert torch.equal(one.y, other.y)
    assert (one.history["oracle_calls"] == other.history["oracle_calls"]).all()
    assert np.isfinite(one.history[["stationarity", "distance_y", "distance_z"]]).all(axis=None)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_told_is_of_the_iterate(name: str) -> None:
    """z and λ of the state with which x and y go, from the first row of the history on."""
    problem, algorithm = SPECS["wells"].build(), algorithm_class(name)(**settings(name))
    oracle = oracle_for(problem, (0, 1))
    x, y = (start.expand(2, -1).clone() for start in problem.start)
    state = algorithm.init(oracle, x, y)
    for k in range(4):
        assert oracle.held is not None
        z, penalty = parts(oracle.held.values)
        assert torch.equal(z, state["z"])
        growth = {"f2sa_followed": 1 / 7, "proximal_followed": 1 / 3, "proximal_momentum_followed": 1 / 5}[name]
        assert penalty[:, 0].tolist() == pytest.approx([20.0 * (k + 1) ** growth] * 2)
        state = algorithm.step(oracle, state)


def test_a_method_that_does_not_tell_has_no_numbers() -> None:
    with pytest.warns(UserWarning, match="lyapunov in 3 of 3"):
        history = solve(SPECS["wells"].build(), "f2sa", steps=2, **settings("f2sa")).history
    assert history["lyapunov"].isna().all()
    assert history["hypergradient_norm"].notna().all()


def test_statistics_that_steps_change_are_refused() -> None:
    from unibio.core.buffers import Buffers

    other = Buffers(torch.zeros(1, dtype=torch.float64), lambda x, y, sample, buffers: buffers + 1)
    changes: dict[str, Any] = {"metrics": lambda x, y, b: {"b": b[:, 0]}, "averaged": ()}
    problem = dataclasses.replace(SPECS["wells"].build(), buffers=other, **changes)
    with pytest.raises(InputError, match="tells of z and λ and not of its lower steps"):
        solve(problem, "proximal_followed", steps=1)
    assert solve(problem, "f2sa_followed", steps=3, **settings("f2sa")).history["b"].iloc[-1] == 3


def test_a_checkpoint_holds_them(tmp_path: Path) -> None:
    problem, done = SPECS["wells"].build(), []
    given: dict[str, Any] = {"steps": 8, "seed": 1, "log_points": 9, **settings("f2sa")}
    whole = solve(problem, "f2sa_followed", **given).history["lyapunov"]
    part = {**given, "checkpoint": tmp_path / "c"}
    solve(problem, "f2sa_followed", **part, progress=done.append, should_stop=lambda: len(done) == 5)
    assert solve(problem, "f2sa_followed", **part).history["lyapunov"].tolist() == whole.tolist()


# What is measured ----------------------------------------------------------------------------------------------------


def measured(problem: Problem, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor, penalty: float) -> dict[str, Any]:
    found = problem.metrics(x, y, torch.cat([z, torch.full_like(z[:, :1], penalty)], dim=1))
    return {name: found[name] for name in found}


@pytest.mark.parametrize("on", SPECS)
def test_residuals_and_the_direction_of_x(on: str) -> None:
    """Against the other module's proximal map and autograd of the losses."""
    problem, sigma = dataclasses.replace(SPECS[on], noise=0.0).build(), 1 / 30
    x, y, z = (rows(4, start.shape[-1], i) for i, start in enumerate((*problem.start, problem.start[1])))
    found = measured(problem, x, y, z, 30.0)

    def slope(point: torch.Tensor, weight: float) -> torch.Tensor:
        f_y = problem.derivatives["grad_upper"](x, point, None)[1]
        return weight * f_y + problem.derivatives["grad_lower"](x, point, None)

    for letter, point, weight in (("y", y, sigma), ("z", z, 0.0)):

        def hessian(t: torch.Tensor, weight: float = weight) -> torch.Tensor:
            step, units = 1e-6, torch.eye(t.shape[1], dtype=t.dtype)
            columns = [(slope(t + step * u, weight) - slope(t - step * u, weight)) / (2 * step) for u in units]
            return torch.stack(columns, dim=-1)

        expected = proximal_residual(point, 0.1, lambda t, weight=weight: slope(t, weight), hessian)
        torch.testing.assert_close(found[f"residual_{letter}"], expected * 30, rtol=1e-6, atol=0)
    at = x.clone().requires_grad_()
    total = problem.upper(at, y, None) + 30 * (problem.lower(at, y, None) - problem.lower(at, z, None))
    (direction,) = torch.autograd.grad(total.sum(), at)
    torch.testing.assert_close(found["residual_x"], direction.norm(dim=-1))
    largest = torch.stack([found[f"residual_{letter}"] for letter in "xyz"]).amax(0)
    assert torch.equal(found["stationarity"], largest)


def test_a_proximal_map_that_is_not_found_is_nan() -> None:
    jumps = residual(torch.ones(1, 1), 0.1, lambda z: z.sign() * 1e3 * (z * 1e9).sin(), lambda z: torch.ones(1, 1, 1))
    assert torch.isnan(jumps).all()


@pytest.mark.parametrize("on", ["point", "manifold"])
def test_distances_to_the_solution_sets(on: str) -> None:
    spec = SPECS[on]
    problem, built = spec.build(), _Built(spec)
    x, z = rows(3, 2), rows(3, spec.dimension_y, 1)
    found = measured(problem, x, built.solution(x, 1 / 30) + 0.01, z, 30.0)
    assert found["distance_y"].tolist() == pytest.approx([0.01 * spec.dimension_y**0.5] * 3)
    # No farther than another point of S(x, 0) where T's slope is about 1, and 0 on the set itself.
    assert (found["distance_z"] > 0.01).all()
    solved = measured(problem, x, z, built.solution(x), 30.0)
    assert solved["distance_z"].max() < 1e-12
    if on == "point":
        assert torch.allclose(found["distance_z"], (z - built.solution(x)).norm(dim=-1))


def test_the_error_bound_fails_along_a_manifold() -> None:
    """At a point of S(x, 0) that is not the limit, residual over distance is like σ; on a point it is not."""
    for on, power in (("manifold", 1.0), ("point", 0.0)):
        spec = SPECS[on]
        problem, built, x = spec.build(), _Built(spec), rows(3, 2)
        if on == "manifold":
            null = torch.linalg.svd(built.B, full_matrices=True)[2][2:]
            y = built.unbent(built.bent(built.solution(x)) + 0.5 * null.sum(0))
        else:
            y = built.solution(x) + 0.1
        ratios = []
        for penalty in (1e3, 1e5):
            found = measured(problem, x, y, y, penalty)
            ratios.append(found["residual_y"] / penalty / found["distance_y"])
        fallen = torch.log(ratios[0] / ratios[1]) / np.log(100)
        assert fallen.tolist() == pytest.approx([power] * 3, abs=0.02), on


def test_the_lyapunov_function_of_the_wells() -> None:
    """From its definition: y*_λ found by descent, min φ on a grid, L from the Hessian of g."""
    spec = FollowedWells(dimension=2, condition=4.0)
    problem, wells, penalty = spec.build(), _Wells(spec), 12.0
    x, y, z = rows(3, 2), rows(3, 2, 1), rows(3, 2, 2)
    solution = x.clone()
    for _ in range(2000):
        f_y = problem.derivatives["grad_upper"](x, solution, None)[1]
        solution = solution - 0.03 * (f_y + penalty * problem.derivatives["grad_lower"](x, solution, None))
    torch.testing.assert_close(solution, wells.solution(x, torch.full((3, 1), penalty).double()), atol=1e-9, rtol=0)
    line = torch.linspace(-2, 2, 400_001, dtype=torch.float64)
    lowest = 2 * float(wells.height(line).min())
    both = torch.zeros(4, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(lambda w: problem.lower(w[None, :2], w[None, 2:], None)[0], both)
    smooth = float(torch.linalg.eigvalsh(hessian)[-1])
    phi = wells.height(x).sum(-1)
    expected = phi - lowest + penalty * smooth * ((y - solution).square().sum(-1) + (z - x).square().sum(-1) / 2)
    torch.testing.assert_close(measured(problem, x, y, z, penalty)["lyapunov"], expected, rtol=1e-7, atol=1e-7)
    assert torch.isnan(wells.solution(x, torch.full((3, 1), 3.0).double())[:, 1]).all()  # λh < 1


# The lower-bound construction ----------------------------------------------------------------------------------------


def test_one_step_is_the_oracle() -> None:
    """With an exact g_y, y and z are y*_λ and y* after one step of length 1, whatever x."""
    problem = KnownTarget(dimension=3, noise=1.0, cross_noise=0.5).build()
    result = solve(problem, "f2ba", steps=1, upper_step=1e-30, lower_step=1.0, lower_iterations=1, penalty=5.0, seed=0)
    assert float(result.y[0]) == pytest.approx(3 * (2**0.5 - 1) - 1 / 5, abs=1e-14)


def test_noise_of_the_direction() -> None:
    """λ²(2σ² + 2θ²F²) with fresh samples, θ² with one for both: the estimates of g_x are stochastically smooth."""
    problem = KnownTarget(noise=0.3, cross_noise=0.5).build()
    oracle, x = oracle_for(problem, tuple(range(4000))), torch.ones(4000, 1, dtype=torch.float64)
    z = torch.full_like(x, 2**0.5 - 1)
    y, first, second = z - 1 / 8, oracle.sample_lower(), oracle.sample_lower()
    for other, variance in ((first, 0.25), (second, 64 * (2 * 0.09 + 0.25 * float(y[0] ** 2 + z[0] ** 2)))):
        direction = 8 * (oracle.grad_lower_x(x, y, first) - oracle.grad_lower_x(x, z, other))
        assert float(direction.mean()) == pytest.approx(0.5**0.5, abs=5 * (variance / 4000) ** 0.5)
        assert float(direction.var()) == pytest.approx(variance, rel=0.15)  # six standard errors
