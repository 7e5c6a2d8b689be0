"""All first-order methods: own floors, exact oracle counts without second derivatives, dtypes, batches, divergence."""

import dataclasses
import math
from collections import Counter
from functools import cache

import numpy as np
import pytest
import torch

from references.methods import neumann_matrix
from second_order import (
    AT_ONCE,
    assert_state_survives_a_file,
    check_axes,
    iterates,
    oracle_for,
    pair,
    quadratic,
    worst_gap,
)
from unibio import Problem, solve
from unibio.errors import InputError
from unibio.problems.example3 import Coordinatewise, Example3
from unibio.problems.quadratic import Quadratic
from unibio.registry import ALGORITHMS

METHODS = ("f2sa", "f3sa", "f2ba", "proximal", "proximal_momentum", "bome", "pbgd")
DTYPES = {"float64": torch.float64, "float32": torch.float32}

# Floors --------------------------------------------------------------------------------------------------------------


def penalised_solution(reference, penalty):
    """(x, y) where ∇𝓛*_λ = 0 and y = y*_λ(x): f_y + λg_y = 0 and f_x + λ(g_x(x, y) − g_x(x, y*(x))) = 0, linear."""
    dx, dy = len(reference.fx), len(reference.fy)

    def conditions(w):
        x, y = w[:dx], w[dx:]
        solution = reference.lower_solution(x)
        return np.concatenate(
            [
                reference.f.dx(x, y) + penalty * (reference.g.dx(x, y) - reference.g.dx(x, solution)),
                reference.f.dy(x, y) + penalty * reference.g.dy(x, y),
            ]
        )

    offset = conditions(np.zeros(dx + dy))
    matrix = np.stack([conditions(e) - offset for e in np.eye(dx + dy)], axis=1)
    w = -np.linalg.solve(matrix, offset)
    return w[:dx], w[dx:]


#: name -> (parameters, iterations); two penalties in one batch.
FIXED = {
    "f2ba": ({"upper_step": 0.3, "lower_step": 0.5, "lower_iterations": 8}, 400),
    "f2ba restart": ({"upper_step": 0.3, "lower_step": 0.9, "lower_iterations": 50, "restart": True}, 80),
    "pbgd": ({"upper_step": 1.5, "lower_step": 0.9, "lower_iterations": 4}, 1000),
    "pbgd blockwise": ({"upper_step": 12.0, "lower_step": 0.9, "update": "blockwise", "lower_iterations": 5}, 250),
}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(name, dtype, marks=() if dtype == "float64" or name == "f2ba" else pytest.mark.slow)
        for name in FIXED
        for dtype in DTYPES
    ],
)
def test_fixed_penalty_stops_at_the_penalised_stationary_point(name, dtype):
    """To the stationary point of 𝓛*_λ itself, whose ‖∇φ‖ falls like 1/λ: the floor O(C/λ)."""
    problem, reference, x0, y0 = pair(kappa=3.0)
    start, accuracy = np.linalg.norm(reference.hypergradient(x0)), 1e-7 if dtype == "float64" else 1e-3
    parameters, steps = FIXED[name]
    penalties, floors = [20.0, 40.0], []
    result = solve(
        problem, name.split()[0], x0, y0, steps=steps, log_points=2,
        dtype=DTYPES[dtype], penalty=penalties, **parameters,
    )  # fmt: skip
    for row, penalty in enumerate(penalties):
        x, y = (t[row].to(torch.float64).numpy() for t in (result.x, result.y))
        for got, wanted in zip((x, y), penalised_solution(reference, penalty), strict=True):
            np.testing.assert_allclose(got, wanted, atol=accuracy * np.linalg.norm(wanted))
        floors.append(np.linalg.norm(reference.hypergradient(x)))
        assert 1e-3 * start < floors[-1] < 0.2 * start
    assert floors[1] / floors[0] == pytest.approx(0.5, abs=0.05)


GROWING = {
    "f2sa": {"upper_step": 0.4, "lower_step": 0.6, "penalised_step": 0.5},
    "f3sa": {"upper_step": 0.4, "lower_step": 0.6, "penalised_step": 0.5},
    "proximal": {"upper_step": 3.0, "lower_step": 0.4, "penalty": 2.0},
    "proximal_momentum": {"upper_step": 1.0, "lower_step": 0.4, "penalty": 2.0, "centre_step": 0.3},
}


@pytest.mark.parametrize("name", GROWING)
@pytest.mark.slow
def test_growing_penalty_reaches_its_floor(name):
    """Exact gradients: λ_k ∝ k^{1/3}, so ‖∇φ(x_k)‖ ends along C k^{−1/3}: eightfold iterations halve it."""
    problem, reference, x0, y0 = pair(kappa=3.0)
    path, _, _ = iterates(problem, ALGORITHMS[name](**GROWING[name]), x0, y0, 2400)
    norms = {k: np.linalg.norm(reference.hypergradient(path[k][0])) for k in (0, 300, 2400)}
    assert norms[300] < 0.5 * norms[0]
    assert norms[2400] / norms[300] == pytest.approx(0.5, abs=0.07)


@pytest.mark.slow
def test_proximal_methods_keep_to_the_sets_and_solve_the_constrained_problem():
    """min ½‖x − 1‖² + ½‖y − 2‖² over the box [−1, ½] for x and y ∈ argmin over the unit ball of ½‖y − x‖².

    For x in the ball y*(x) = x, so x* = y* = (½, ½): both levels' sets are met, the upper one active.
    """
    problem = Problem(
        upper=lambda x, y: 0.5 * ((x - 1) ** 2).sum(-1) + 0.5 * ((y - 2) ** 2).sum(-1),
        lower=lambda x, y: 0.5 * ((y - x) ** 2).sum(-1),
        project_upper=lambda x: x.clamp(-1.0, 0.5),
        project_lower=lambda y: y / y.norm(dim=-1, keepdim=True).clamp(min=1.0),
        batched=True,
    )
    for name in ("proximal", "proximal_momentum"):
        parameters = {"upper_step": 0.3, "lower_step": 0.4, "penalty": 5.0}
        path, state, _ = iterates(problem, ALGORITHMS[name](**parameters), [-0.8, 0.3], [3.0, -4.0], 500)
        for x, y in path[60:]:
            assert x.min() >= -1
            assert x.max() <= 0.5
            assert np.linalg.norm(y) <= 1 + 1e-9
        np.testing.assert_allclose(path[-1][0], [0.5, 0.5], atol=1e-9)
        np.testing.assert_allclose(state["w_z"][0], [0.5, 0.5], atol=1e-6)
        penalty = 5.0 * 500 ** (1 / 3)  # argmin of ½‖y − 2‖² + ½λ‖y − x‖² is (2 + λx)/(1 + λ), inside the ball
        np.testing.assert_allclose(state["w_y"][0], (2 + penalty * 0.5) / (1 + penalty), atol=1e-3)


@pytest.mark.slow
def test_bome_reaches_the_neumann_floor():
    """Full batch it ends near where f_x − J V f_y = 0, V the Neumann sum of T terms with its lower step, up to O(ξ)."""
    problem, reference, x0, y0 = pair(kappa=3.0)
    V = neumann_matrix(reference.H, 0.7, 3)

    def direction(x):
        y = reference.lower_solution(x)
        return reference.f.dx(x, y) - reference.J @ V @ reference.f.dy(x, y)

    offset = direction(np.zeros(4))
    target = -np.linalg.solve(np.stack([direction(e) - offset for e in np.eye(4)], axis=1), offset)
    floor, ends = np.linalg.norm(reference.hypergradient(target)), []
    for step, steps in ((0.04, 600), (0.01, 2400)):
        ours = ALGORITHMS["bome"](upper_step=step, lower_step=0.7, lower_iterations=3)
        path, _, _ = iterates(problem, ours, x0, y0, steps)
        tail = np.mean([x for x, _ in path[-steps // 5 :]], axis=0)
        ends.append(np.linalg.norm(tail - target))
    assert floor > 0.01 * np.linalg.norm(reference.hypergradient(x0))
    assert ends[1] < 0.5 * ends[0]
    assert ends[1] < 0.02 * np.linalg.norm(x0 - target)


# Oracle counts, on every problem and in every dtype ------------------------------------------------------------------


def expected_calls(a, steps):
    """Calls of ``steps`` iterations by the docstrings' rules."""
    if a.name == "f2sa":
        T = a.lower_iterations
        return {"grad_upper": (T + 1) * steps, "grad_lower": 2 * T * steps, "grad_lower_x": 2 * steps}
    if a.name == "f2ba":
        T = a.lower_iterations
        return {"grad_upper": (T + 1) * steps, "grad_lower": 2 * T * steps, "grad_lower_x": 2 * steps}
    if a.name in ("f3sa", "proximal_momentum"):
        points = steps if a.schedule == "exact" and a.momentum == 0 else 2 * steps - 1
        return dict.fromkeys(("grad_upper", "grad_lower", "grad_lower_x"), 2 * points)
    if a.name == "proximal":
        c = {"exact": 0.0, "upper": 2 / 3, "both": 4 / 3}[a.schedule]
        inner = sum(math.ceil(a.lower_iterations * (k + 1) ** c - 1e-9) for k in range(steps))
        outer = sum(math.ceil(a.upper_average * (k + 1) ** c - 1e-9) for k in range(steps))
        return {"grad_upper": inner + outer, "grad_lower": 2 * inner, "grad_lower_x": 2 * outer}
    if a.name == "bome":
        calls = {"grad_upper": steps, "grad_lower": (a.lower_iterations + 1) * steps, "grad_lower_x": 2 * steps}
        return calls | ({"value_calls": 2 * steps} if a.barrier == "value" else {})
    assert a.name == "pbgd"
    upper, lower = 1, a.lower_iterations + 1
    if a.update == "blockwise":
        upper, lower = 1 + a.penalised_iterations, a.lower_iterations + a.penalised_iterations
    return {"grad_upper": upper * steps, "grad_lower": lower * steps, "grad_lower_x": 2 * steps}


PROBLEMS = {
    "quadratic": lambda: Quadratic(dimension_x=3, dimension_y=5, size_lower=12, size_upper=8),
    "example3 p=2": lambda: Example3(exponent=2),
    "example3 p=6, noise": lambda: Example3(exponent=6, noise=1.0, upper_noise=0.1),
    "coordinatewise p=4, noise": lambda: Coordinatewise(dimension=3, exponent=4, noise=0.1),
}
SETTINGS = {
    "f2sa": {},
    "f2sa inner": {"lower_iterations": 3, "schedule": "both"},
    "f3sa": {},
    "f3sa noisy": {"schedule": "both"},
    "f2ba": {"lower_iterations": 4},
    "f2ba shared": {"difference_samples": "shared", "restart": True},
    "proximal": {},
    "proximal noisy": {"schedule": "upper", "lower_iterations": 2, "upper_average": 3},
    "proximal_momentum": {},
    "proximal_momentum noisy": {"schedule": "upper", "momentum": 0.3},
    "bome": {},
    "bome value": {"barrier": "value", "lower_iterations": 3},
    "pbgd": {},
    "pbgd blockwise": {"update": "blockwise", "penalised_iterations": 4},
}
KINDS = ("grad_upper", "grad_lower", "grad_lower_x", "hvp", "jvp", "value_calls")


def made(setting, **more):
    return ALGORITHMS[setting.split()[0]](**SETTINGS[setting], **more)


@cache
def built(problem):
    """Shared by all tests, with what the library found when it first looked at it."""
    return PROBLEMS[problem]().build()


@pytest.mark.one_in(9)
@pytest.mark.parametrize(
    ("problem", "dtype"),
    [
        pytest.param(problem, dtype, marks=() if dtype == "float64" or problem == "quadratic" else pytest.mark.slow)
        for problem in PROBLEMS
        for dtype in DTYPES
    ],
)
@pytest.mark.parametrize("setting", SETTINGS)
def test_table(setting, problem, dtype):
    """Finite or reported as diverged, in the dtype asked for, with exactly the stated calls: no HVP and no JVP."""
    ours, steps = made(setting, batch_size=4), 8
    result = solve(built(problem), ours, steps=steps, seed=5, dtype=DTYPES[dtype], log_points=2)
    assert result.status in ("completed", "diverged")
    assert torch.isfinite(result.x).all()
    assert torch.isfinite(result.y).all()
    assert result.x.dtype == result.y.dtype == DTYPES[dtype]
    row = result.runs.iloc[0]
    expected = Counter(expected_calls(ours, int(row["stopped_at"])))
    assert {kind: int(row[kind]) for kind in KINDS} == {kind: expected[kind] for kind in KINDS}
    assert row["hvp"] == row["jvp"] == 0
    if problem == "quadratic":
        assert result.status == "completed"
        assert row["samples"] == 4 * expected.total()


# Batches -------------------------------------------------------------------------------------------------------------


@pytest.mark.one_in(9)
@pytest.mark.parametrize("setting", SETTINGS)
def test_rows_do_not_see_each_other(setting):
    """A run has the same iterates and counts alone and in a batch, minibatches included."""
    spec = quadratic()
    together = solve(spec, made(setting, batch_size=4), steps=7, seed=range(4), log_points=2)
    for seed in (0, 3):
        alone = solve(spec, made(setting, batch_size=4), steps=7, seed=seed, log_points=2)
        torch.testing.assert_close(alone.x, together.x[seed], rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(alone.y, together.y[seed], rtol=1e-12, atol=1e-13)
        for kind in (*KINDS, "samples"):
            assert alone.runs[kind].item() == together.runs[kind][seed]
    assert len(torch.unique(together.x[:, 0])) == 4


@pytest.mark.one_in(15)
@pytest.mark.parametrize("together", AT_ONCE)
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_per_run_parameter_is_an_axis(setting, together):
    check_axes(made(setting, batch_size=4), together, steps=4)


@pytest.mark.one_in(15)
@pytest.mark.parametrize("setting", SETTINGS)
def test_autograd_gives_the_same(setting):
    """A problem without derivatives of its own: the same trajectory on minibatches, and the same counts."""
    problem, _, x0, y0 = pair()
    own, auto = (
        solve(p, made(setting, batch_size=4), x0, y0, steps=8, seed=[0, 1], log_points=2)
        for p in (problem, dataclasses.replace(problem, derivatives={}))
    )
    torch.testing.assert_close(own.x, auto.x, rtol=1e-10, atol=1e-12)
    assert own.runs["samples"].tolist() == auto.runs["samples"].tolist()


@pytest.mark.one_in(5)
@pytest.mark.parametrize("setting", SETTINGS)
def test_state_survives_a_file(setting):
    assert_state_survives_a_file(made(setting, batch_size=4))


@pytest.mark.one_in(7)
@pytest.mark.parametrize("name", METHODS)
def test_divergence_is_reported(name):
    """A far too large lower step ends as "diverged" with a finite last iterate; the other run goes on."""
    spec = quadratic()
    result = solve(spec, name, steps=300, log_points=2, lower_step=[500.0, 0.1])
    assert result.status == ["diverged", "completed"]
    assert result.runs["stopped_at"][0] < 300
    assert torch.isfinite(result.x).all()


# What the options are for --------------------------------------------------------------------------------------------


def test_shared_samples_keep_the_variance_of_the_difference_bounded():
    """F²BA's x direction: with fresh samples its variance grows like λ², with a shared one it stays O(1).

    At (x, y*_λ, y*): shared, λ(g_x(x, y) − g_x(x, z)) on one sample is λ C_i (y − z), and y − z = O(1/λ).
    """
    problem, reference, x0, _ = pair(n=24)
    spread = {}
    for samples in ("fresh", "shared"):
        for penalty in (20.0, 80.0):
            y, z = penalised_lower(reference, x0, penalty), reference.lower_solution(x0)
            rows = 400
            ours = ALGORITHMS["f2ba"](
                penalty=penalty, lower_iterations=1, lower_step=1e-12, upper_step=1.0, difference_samples=samples,
                batch_size=4,
            )  # fmt: skip
            oracle = oracle_for(problem, range(rows), batch_size=4)
            at = {key: torch.as_tensor(value)[None].repeat(rows, 1) for key, value in (("x", x0), ("y", y), ("z", z))}
            moved = ours.step(oracle, at | {"k": 0})["x"]
            spread[samples, penalty] = float(moved.var(0).sum())
    assert spread["fresh", 80.0] / spread["fresh", 20.0] == pytest.approx(16, rel=0.35)
    assert spread["shared", 80.0] / spread["shared", 20.0] == pytest.approx(1, rel=0.35)


def penalised_lower(reference, x, penalty):
    """y*_λ(x) of the quadratic."""
    matrix = reference.Fy + penalty * reference.H
    return -np.linalg.solve(
        matrix, reference.f.dy(x, 0.0 * reference.fy) + penalty * reference.g.dy(x, 0.0 * reference.fy)
    )


@pytest.mark.parametrize("name", ["f2sa", "f3sa", "f2ba", "proximal", "proximal_momentum"])
def test_no_part_of_an_upper_gradient_is_computed_in_vain(name):
    """These methods need f_x and f_y at different points; the counts stay those of whole gradients."""
    problem, _, x0, y0 = pair()
    asked = Counter()

    def counted(part, own):
        def call(x, y, sample):
            asked[part] += 1
            return own(x, y, sample)

        return call

    parts = ("grad_upper", "grad_upper_x", "grad_upper_y")
    own = {part: counted(part, problem.derivatives[part]) for part in parts}
    watched = dataclasses.replace(problem, derivatives=problem.derivatives | own)
    watched.prepare(torch.from_numpy(x0)[None], torch.from_numpy(y0)[None])
    asked.clear()
    path, _, oracle = iterates(watched, ALGORITHMS[name](batch_size=4), x0, y0, 3)
    assert not asked["grad_upper"]
    assert asked["grad_upper_x"] > 0
    assert asked["grad_upper_y"] > 0
    assert asked.total() == oracle.counts()["grad_upper"].item()
    whole = dataclasses.replace(
        problem, derivatives={key: value for key, value in problem.derivatives.items() if key not in parts[1:]}
    )
    same, _, without = iterates(whole, ALGORITHMS[name](batch_size=4), x0, y0, 3)
    assert worst_gap(path, same) == 0
    assert without.counts()["grad_upper"].item() == asked.total()


def test_lower_only_leaves_x_alone():
    """Gradient descent on the lower level, to its solution at the start, by T lower gradients an iteration."""
    problem, reference, x0, y0 = pair(kappa=3.0)
    result = solve(problem, "lower_only", x0, y0, steps=40, log_points=2, lower_step=1.0, lower_iterations=2)
    assert np.array_equal(result.x.numpy(), x0)
    np.testing.assert_allclose(result.y, reference.lower_solution(x0), atol=1e-8)
    row = result.runs.iloc[0]
    assert {kind: int(row[kind]) for kind in KINDS} == dict.fromkeys(KINDS, 0) | {"grad_lower": 80}


def test_unknown_schedules_are_refused():
    with pytest.raises(InputError, match="exact, upper, both"):
        solve(Quadratic(), "f2sa", steps=1, schedule="noisy")
