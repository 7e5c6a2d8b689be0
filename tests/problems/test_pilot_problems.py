"""Problems of the pilot study's conditions, hyper-cleaning whose weights matter, and the slides' motivating ones."""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np
import pytest
import torch

from second_order import oracle_for
from unibio.errors import InputError
from unibio.problems.conditions import (
    DoubleWellConditions,
    LinearCleaningConditions,
    RepresentationConditions,
    WeightedCleaningConditions,
)
from unibio.problems.kernel_ridge import KernelRidge
from unibio.problems.power_attack import PowerAttack
from unibio.problems.weighted_cleaning import WeightedCleaning

SMALL = {"features": 2, "repeats": 4, "size_validation": 6}
CONDITIONS = {
    "representation": RepresentationConditions(features=6, width=8, outputs=2, size_train=3, size_validation=2),
    "linear": LinearCleaningConditions(features=5, outputs=2, size_train=4, size_validation=6, penalty=3.0),
    "weighted": WeightedCleaningConditions(features=2, repeats=4, noise=0.3, bound=3.0, penalty=3.0, data_seed=5),
    "well": DoubleWellConditions(penalty=6.0),
}
SPECS = {"weighted": WeightedCleaning(**SMALL), "ridge": KernelRidge(size_train=5, size_validation=7)}
SPECS |= {"attack": PowerAttack()}
#: The attack is looked for among thousands.
EACH = ["weighted", "ridge", pytest.param("attack", marks=pytest.mark.slow)]


def points(problem, rows=3):
    """Rows near the start, inside every set."""
    generator = torch.Generator().manual_seed(0)
    sizes = [start.shape[-1] for start in (*problem.start, problem.start[1])]
    return [0.4 * torch.rand(rows, d, generator=generator, dtype=torch.float64) + 0.05 for d in sizes]


@pytest.mark.parametrize("name", EACH)
def test_own_derivatives_are_the_losses(name):
    problem = SPECS[name].build()
    plain = dataclasses.replace(problem, derivatives={})
    x, y, v = points(problem)
    own, auto = (oracle_for(p, (0, 1, 2)) for p in (problem, plain))
    for call in ("grad_upper", "grad_lower", "grad_lower_x"):
        torch.testing.assert_close(getattr(own, call)(x, y), getattr(auto, call)(x, y), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(own.hvp(x, y, v), auto.hvp(x, y, v), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(own.jvp(x, y, v), auto.jvp(x, y, v), rtol=1e-9, atol=1e-11)
    assert all(value.shape == (3,) for value in problem.metrics(x, y).values())


@pytest.mark.parametrize("name", EACH)
def test_the_solution_solves_the_lower_level(name):
    """No step of projected gradient leaves it, and g − g* is not negative elsewhere."""
    problem = SPECS[name].build()
    x, y, _ = points(problem)
    solved = problem.closed_form.solution(x)
    step = solved - 0.1 * oracle_for(problem, (0, 1, 2)).grad_lower(x, solved)
    if problem.project_lower is not None:
        step = problem.project_lower(step)
    torch.testing.assert_close(step, solved, rtol=0, atol=1e-10)
    assert (problem.metrics(x, y)["lower_gap"] > 0).all()
    torch.testing.assert_close(problem.closed_form.value(x), problem.upper(x, solved, None))


# Hyper-cleaning whose weights matter ---------------------------------------------------------------------------------


def test_the_optimum_of_weighted_cleaning_by_a_grid_of_weights():
    """φ on all weights of a grid of the box, ends included: never below the optimum, and at it but for the grid."""
    spec = WeightedCleaning(features=1, repeats=4, size_validation=6, bound=1.0)
    problem = spec.build()
    axis = np.linspace(-1, 1, 9)
    x = torch.tensor(list(product(axis, repeat=4)))
    gap = problem.closed_form.value(x) - spec.solve()[0]
    assert gap.min().item() == pytest.approx(0, abs=1e-12)  # at a vertex: noise is small, and the box is narrow
    assert (gap > -1e-12).all()
    assert gap.max() > 0.2  # weights matter


def test_the_reach_of_weights_and_the_faces_of_the_box():
    """Ends of the intervals by all vertices; the optimum in two quantities by a grid of the box of means."""
    spec = WeightedCleaning(**SMALL, noise=0.4)
    low, high = spec.reach()
    vertices = np.array(list(product((-spec.bound, spec.bound), repeat=4)))
    weights = 1 / (1 + np.exp(-vertices))
    for j, targets in enumerate(spec.data()["T"]):
        means = weights @ targets / weights.sum(axis=1)
        assert (low[j], high[j]) == pytest.approx((means.min(), means.max()))
    data, (best, at) = spec.data(), spec.solve()
    axes = [np.linspace(a, b, 401) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    values = 0.5 * ((grid @ data["X_val"].T - data["Y_val"]) ** 2).sum(axis=1)
    assert best == pytest.approx(values.min(), abs=1e-4)
    assert best <= values.min() + 1e-12
    assert ((at >= low) & (at <= high)).all()


def test_the_hypergradient_of_weighted_cleaning():
    problem = SPECS["weighted"].build()
    x = points(problem)[0].requires_grad_()
    (auto,) = torch.autograd.grad(problem.closed_form.value(x).sum(), x)
    torch.testing.assert_close(problem.closed_form.gradient(x.detach()), auto)


def test_weighted_cleaning_knows_its_limits():
    with pytest.raises(InputError, match="3\\^features faces"):
        WeightedCleaning(features=9).build()
    with pytest.raises(InputError, match="out of the weights' reach"):
        WeightedCleaningConditions(noise=0.0, bound=1.0).build()


# The conditions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_conditions_are_of_the_penalised_objective(name):
    """Excesses are not negative, the lower one is 0 at the minimiser over y that a long descent finds, and slopes are
    those of differences."""
    spec = CONDITIONS[name]
    problem = spec.build()
    x, y, _ = points(problem, 2)
    found = {key: value.clone() for key, value in problem.metrics(x, y).items() if key.endswith(("excess", "slope"))}
    assert len(found) == 6
    for key, value in found.items():
        assert (value >= (-1e-12 if key != "upper_excess" else -1e-9)).all(), key
    torch.testing.assert_close(found["joint_excess"], found["lower_excess"] + found["upper_excess"])
    start, moved = torch.cat([x, y], dim=-1), []
    h, size = 1e-6, x.shape[1]
    for i in range(start.shape[1]):
        e = torch.zeros_like(start)
        e[:, i] = h
        ahead, behind = (
            problem.metrics(at[:, :size], at[:, size:])["joint_excess"].clone() for at in (start + e, start - e)
        )
        moved.append((ahead - behind) / (2 * h))
    slope = torch.stack(moved, dim=-1)
    torch.testing.assert_close(found["joint_slope"], slope.norm(dim=-1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found["lower_slope"], slope[:, size:].norm(dim=-1), rtol=1e-5, atol=1e-6)
    y = y.clone().requires_grad_()
    descent = torch.optim.LBFGS(
        [y], max_iter=500, tolerance_grad=1e-13, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure():
        descent.zero_grad()
        total = (problem.upper(x, y, None) + spec.penalty * problem.lower(x, y, None)).sum()
        total.backward()
        return total

    descent.step(closure)
    y = y.detach()
    rested = problem.metrics(x, y)
    assert rested["lower_excess"].abs().max() < 1e-9
    assert rested["upper_excess"] == pytest.approx(found["upper_excess"], abs=1e-8)


def test_the_least_over_y_where_there_are_two_minima():
    """With a weak penalty L_γ(x, ·) has two wells; the excess is above the lower one, by a grid."""
    problem = DoubleWellConditions(penalty=1.0).build()
    y = torch.linspace(-2, 2, 4001, dtype=torch.float64)[:, None]
    for at in (-0.5, 0.1, 0.9):
        excess = problem.metrics(torch.full_like(y, at), y)["lower_excess"]
        assert excess.min().item() == pytest.approx(0, abs=1e-5)
        assert (excess > -1e-12).all()


def test_what_a_box_holds_back_is_no_slope():
    spec = CONDITIONS["linear"]
    problem = spec.build()
    corner = torch.full((1, spec.size_train), -spec.bound, dtype=torch.float64)
    found = problem.metrics(corner, problem.start[1][None])
    assert found["upper_excess"].item() == pytest.approx(0, abs=1e-12)
    assert found["upper_slope"].item() == 0.0


# Motivating problems -------------------------------------------------------------------------------------------------


def test_kernel_ridge_by_its_kernels_and_by_its_features():
    """φ of the enumeration, in n dual unknowns, is f at the solution in 2n primal ones; and no random x is better."""
    spec = KernelRidge(size_train=6, size_validation=9)
    problem, (best, at) = spec.build(), spec.solve()
    x = torch.from_numpy(np.random.default_rng(0).uniform(-5, 0, (50, 2)))
    np.testing.assert_allclose(spec.values(x.numpy()), problem.closed_form.value(x), rtol=1e-5)
    assert (spec.values(x.numpy()) >= best).all()
    assert problem.metrics(torch.from_numpy(at)[None], problem.start[1][None])["distance"].item() == 0.0
    many = dataclasses.replace(spec, start_smooth=torch.tensor([[-1.5], [-2.0]]).double()).build().start
    assert many[0].tolist() == [[-1.5, -1.0], [-2.0, -1.0]]


def test_the_flows_of_the_grid():
    """Kirchhoff's laws: what flows into a bus is what it takes, and round a loop angles add up to nothing."""
    from unibio.problems.power_attack import LINES, LOAD, SUSCEPTANCE, _Grid

    grid = _Grid(1.0, 4.0, 10.0, 0.0)
    x, shed = torch.tensor([[0.0, 0.5, 0.1]]).double(), torch.tensor([[0.1, 0.0, 0.2]]).double()
    flows = grid.flows(x, shed)[0]
    for bus in (1, 2, 3):
        into = sum(
            f if second == bus else -f
            for f, (first, second) in zip(flows, LINES, strict=True)
            if bus in (first, second)
        )
        assert into.item() == pytest.approx(LOAD[bus - 1] - shed[0, bus - 1].item())
    b = [s / (1 + 4.0 * float(a)) for s, a in zip(SUSCEPTANCE, [*x[0], 0.0, 0.0], strict=True)]
    drop = [f.item() / one for f, one in zip(flows, b, strict=True)]
    assert drop[0] + drop[3] - drop[1] == pytest.approx(0, abs=1e-12)
    assert drop[1] + drop[4] - drop[2] == pytest.approx(0, abs=1e-12)


def test_attacks_are_projected_onto_their_limit():
    """Against a fine grid of the set, and nothing within it moves."""
    from unibio.problems.power_attack import _Grid

    grid = _Grid(1.0, 4.0, 10.0, 0.0)
    x = torch.tensor([[2.0, 0.3, -0.2], [0.6, 0.5, 0.4], [0.2, 0.3, 0.1], [-1.0, -1.0, 0.5]]).double()
    found = grid.attack(x)
    axis = torch.linspace(0, 1, 51, dtype=torch.float64)
    inside = torch.cartesian_prod(axis, axis, axis)
    inside = inside[inside.sum(-1) <= 1 + 1e-12]
    nearest = torch.cdist(x, inside).min(dim=1).values
    distance = (found - x).norm(dim=-1)
    assert (distance <= nearest + 1e-12).all()
    torch.testing.assert_close(distance, nearest, rtol=0, atol=0.03)
    assert (found.sum(-1) <= 1 + 1e-12).all()
    torch.testing.assert_close(found[2], x[2])


@pytest.mark.slow
def test_the_worst_attack_is_worse_than_any_that_is_tried():
    spec = PowerAttack()
    problem, (best, worst) = spec.build(), spec.solve()
    x = problem.project_upper(torch.rand(300, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    gap = problem.metrics(x, torch.zeros_like(x))["value_gap"]
    assert (gap > -1e-9).all()
    assert gap.max() > 0.1
    assert problem.closed_form.value(worst[None]).item() == pytest.approx(best, abs=1e-9)
