"""``solve`` and the grids it makes; every error names the argument and what is accepted."""

from __future__ import annotations

import inspect
import itertools
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from unibio import Algorithm, Coordinatewise, Example3, InputError, Problem, Result, solve
from unibio.algorithms.unibio import UniBiO
from unibio.api.solving import _OWN, given_start
from unibio.core.oracle import KINDS
from unibio.registry import ALGORITHMS
from unibio.simulation.grid import grid_of, with_rows


def quadratic(**options) -> Problem:
    """f = ½‖y − 1‖², g = ½‖y − x‖²: φ = ½‖x − 1‖²; no start of its own."""
    return Problem(
        upper=lambda x, y: (0.5 * (y - 1) ** 2).sum(-1), lower=lambda x, y: (0.5 * (y - x) ** 2).sum(-1), **options
    )


# The public names ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_public_names_are_functions_whatever_was_imported_before():
    """A module of the same name as a function would take its place in the package once it is imported."""
    program = (
        "import importlib, pkgutil, unibio\n"
        "for name in ('api.solving', 'api.comparison', 'core.hypergradients', 'simulation.loop'):\n"
        "    importlib.import_module('unibio.' + name)\n"
        "from unibio import solve, hypergradient, compare, Problem\n"
        "assert all(callable(f) for f in (solve, hypergradient, compare, Problem)), (solve, hypergradient, compare)\n"
        "modules = {m.name for m in pkgutil.iter_modules(unibio.__path__)}\n"
        "assert not modules & set(unibio.__all__), modules & set(unibio.__all__)\n"
        "assert all(hasattr(unibio, name) for name in unibio.__all__)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_a_first_user_types():
    """Scalar losses, no start of its own, nothing else given; constant normalised steps end O(η) from x = 1."""

    def upper(x, y):
        return 0.5 * (y - 1) @ (y - 1)

    def lower(x, y):
        return 0.5 * (y - x) @ (y - x)

    result = solve(
        Problem(upper=upper, lower=lower), "unibio", [3.0, -2.0], [0.0, 0.0], steps=200, upper_step=0.02, log_points=3
    )
    assert isinstance(result, Result)
    assert result.status == "completed"
    np.testing.assert_allclose(result.x, [1, 1], atol=0.1)
    np.testing.assert_allclose(result.y, [1, 1], atol=0.1)


# Results of single runs and grids ---------------------------------------------------------------------------------


def test_a_single_run():
    result = solve(Example3(), steps=5)
    assert result.x.shape == result.y.shape == (1,)
    assert result.status == "completed"
    assert len(result.runs) == 1
    assert list(result.runs.columns) == [
        "status",
        "stopped_at",
        *KINDS,
        "lower_samples",
        "samples",
        "neumann_lambda_max",
    ]
    assert result.seconds > 0
    assert "seed" not in result.history


def test_a_grid_is_the_product_of_its_axes_and_equals_single_runs():
    """Seeds × steps × starts: rows in that order, the last axis fastest, each as if run alone."""
    spec = Coordinatewise(dimension=3, noise=1.0)
    x0 = torch.tensor([[1.0, 0.5, 0.2], [-0.4, 0.3, 2.0]], dtype=torch.float64)
    y0 = [0.5, 0.5, 0.5]
    seeds, steps = [4, -1], [0.02, 0.1, 0.05]
    grid = solve(spec, "unibio", x0, y0, steps=8, seed=seeds, upper_step=steps, momentum=(0.5, 0.9))
    assert grid.x.shape == (2 * 3 * 2 * 2, 3)
    assert grid.status == ["completed"] * 24
    axes = ["seed", "upper_step", "momentum", "start"]
    rows = list(itertools.product(seeds, steps, (0.5, 0.9), (0, 1)))
    assert [tuple(row) for row in grid.runs[axes].to_numpy()] == rows
    assert list(grid.history.columns[:5]) == ["run", *axes]
    for run in (0, 5, 10, 23):
        seed, upper_step, momentum, start = rows[run]
        alone = solve(spec, "unibio", x0[start], y0, steps=8, seed=seed, upper_step=upper_step, momentum=momentum)
        np.testing.assert_allclose(grid.x[run], alone.x, atol=1e-12)
        np.testing.assert_allclose(grid.y[run], alone.y, atol=1e-12)
        mine = grid.history[grid.history["run"] == run]
        assert mine[axes].drop_duplicates().to_numpy().tolist() == [list(rows[run])]
        np.testing.assert_allclose(mine["value"], alone.history["value"], atol=1e-12)


@pytest.mark.parametrize(
    "seeds", [range(3), [0, 1, 2], (0, 1, 2), np.arange(3), torch.arange(3), iter([0, 1, 2]), {0: "a", 1: "b", 2: "c"}]
)
def test_seeds_of_every_kind(seeds):
    result = solve(Example3(noise=1.0), steps=3, seed=seeds)
    assert result.runs["seed"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "values", [[0.1, 0.2], (0.1, 0.2), np.array([0.1, 0.2]), torch.tensor([0.1, 0.2], dtype=torch.float64)]
)
def test_axes_of_every_kind(values):
    result = solve(Example3(), steps=1, upper_step=values)
    assert result.runs["upper_step"].tolist() == [0.1, 0.2]
    np.testing.assert_allclose(result.x.flatten(), [0.9, 0.8])


def test_numbers_of_every_kind():
    reference = solve(Example3(), steps=4, seed=7, upper_step=0.25, period=3)
    for kind in (np.float64, np.float32, torch.tensor):
        other = solve(Example3(), steps=np.int64(4), seed=np.int32(7), upper_step=kind(0.25), period=np.int64(3))
        assert torch.equal(other.x, reference.x)


def test_a_list_of_one_is_a_grid_of_one():
    result = solve(Example3(), steps=1, seed=[0])
    assert result.x.shape == (1, 1)
    assert result.status == ["completed"]


def test_starts():
    def starts(x0, y0):
        result = solve(quadratic(), "unibio", x0, y0, steps=1, inner_budget=1, first_length=1.0, lower_step=1e-9)
        return result.x.shape, result.y.round(decimals=6).tolist()

    assert starts(1.0, 2) == ((1,), [2.0])
    assert starts([1.0], np.array([2.0])) == ((1,), [2.0])
    assert starts([[1.0], [3.0]], 2.0) == ((2, 1), [[2.0], [2.0]])  # one y for all x
    assert starts(1.0, [[2.0], [4.0], [5.0]]) == ((3, 1), [[2.0], [4.0], [5.0]])
    assert starts([[1.0, 1.0], [3.0, 3.0]], [[2.0, 2.0], [4.0, 4.0]]) == ((2, 2), [[2.0, 2.0], [4.0, 4.0]])


def test_starts_of_every_kind_of_tensor():
    wanted = torch.tensor([0.5, -0.2], dtype=torch.float64)
    kinds = {
        "a parameter": torch.nn.Parameter(wanted.clone()),
        "of a graph": wanted.clone().requires_grad_() * 1,
        "a negative view": torch._neg_view(-wanted),
        "sparse": wanted.to_sparse(),
        "pandas": pd.Series(wanted.numpy()).astype("Float64"),
    }
    for kind, given in kinds.items():
        start, many = given_start("x0", given, None, torch.float64, "cpu")
        assert torch.equal(start, wanted[None]), kind
        assert not many
        assert not start.requires_grad


@pytest.mark.slow
def test_a_start_that_cannot_be_written_into_is_no_reason_for_a_warning():
    """PyTorch says so once in a process: in one of its own."""
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "import numpy as np, pandas as pd, torch\n"
        "from unibio.api.solving import given_start\n"
        "fixed = np.array([0.5, -0.2]); fixed.flags.writeable = False\n"
        "for given in (fixed, pd.DataFrame([fixed]), np.broadcast_to(0.5, 2)):\n"
        "    given_start('x0', given, None, torch.float64, 'cpu')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (np.ma.array([0.5, -0.2], mask=[False, True]), "some of its entries are masked"),
        (np.array([1j, 0.0]), "its numbers are complex"),
        (torch.tensor([1j, 0.0]), "its numbers are complex"),
        (torch.tensor([1j, 0.0]).requires_grad_(), "its numbers are complex"),
    ],
)
def test_starts_that_are_not_numbers(given, why):
    with pytest.raises(InputError, match=rf"x0 must be a number, .* array of starts: {why}"):
        solve(Example3(), "unibio", given, steps=1)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (lambda x, y: y.sum(-1), r"metrics must return \{name: tensor of shape \(1,\)\}, got Tensor"),
        (lambda x, y: {1: y.sum(-1)}, r"metrics must return .* got \[1\]"),
        (
            lambda x, y: {f"m{float(y.sum()):.3f}": y.sum(-1)},
            r"metrics must always return the same names, got m0\.000, ",
        ),
    ],
)
def test_metrics_are_held_to_names(metrics, message):
    with pytest.raises(InputError, match=message):
        solve(quadratic(metrics=metrics), "lower_only", [0.5], [0.0], steps=3, lower_step=0.1)


@pytest.mark.parametrize("size", ["10", 0, 2.0, True])
def test_sizes_are_numbers_of_data_points(size):
    with pytest.raises(InputError, match="size_lower must be a number of data points"):
        quadratic(size_lower=size)


def test_nothing_differentiates_through_a_start():
    """torch.func would take what comes out for a constant, and its derivative for 0."""
    with pytest.raises(InputError, match=r"x0 must be .*torch\.func must be left outside"):
        torch.func.grad(lambda x: solve(Example3(), "unibio", x, steps=1).x.sum())(torch.tensor(0.5).double())


def test_starts_are_not_written_into():
    x0, y0 = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    solve(quadratic(), "unibio", x0, y0, steps=3)
    assert x0.tolist() == [1, 1]
    assert y0.tolist() == [0, 0]


def test_an_algorithm_object_and_changes_to_it():
    algorithm = UniBiO(upper_step=0.25, period=1)
    assert float(solve(Example3(), algorithm, steps=1).x) == 0.75
    assert float(solve(Example3(), algorithm, steps=1, upper_step=0.5).x) == 0.5
    assert solve(Example3(), algorithm, steps=1, upper_step=[0.5, 1.0]).x.tolist() == [[0.5], [0.0]]
    assert algorithm.upper_step == 0.25


def test_a_problem_can_be_used_again():
    problem = quadratic()
    first = solve(problem, "unibio", [1.0], [1.0], steps=2)
    solve(problem, "unibio", [[1.0, 2.0], [3.0, 4.0]], [0.0, 0.0], steps=2)
    assert torch.equal(solve(problem, "unibio", [1.0], [1.0], steps=2).x, first.x)


def test_repeatable():
    """Bit for bit, every column but the seconds."""
    a, b = (solve(Coordinatewise(noise=1.0), steps=10, seed=range(3)) for _ in range(2))
    assert torch.equal(a.x, b.x)
    pd.testing.assert_frame_equal(
        a.history.drop(columns="seconds"), b.history.drop(columns="seconds"), check_exact=True
    )


def test_first_hits_in_the_table_of_runs():
    runs = solve(Example3(), steps=60, upper_step=[0.05, 0.001], targets={"hypergradient_norm": [0.1, 0.4]}).runs
    assert runs["iterations_to hypergradient_norm<0.1"].iloc[0] == 48
    assert runs["iterations_to hypergradient_norm<0.1"].isna().tolist() == [False, True]
    assert runs["iterations_to hypergradient_norm<0.4"].tolist() == [0, 0]
    history = solve(Example3(), steps=60, upper_step=0.05, log_points=100).history
    assert runs["oracle_calls_to hypergradient_norm<0.1"].iloc[0] == history["oracle_calls"].iloc[48]


def test_grid_of():
    assert len(grid_of({})) == 1
    assert grid_of({"a": [1, 2], "b": [0.5]}).to_dict("list") == {"a": [1, 2], "b": [0.5, 0.5]}


def test_with_rows():
    like = torch.zeros(1, dtype=torch.float32)
    rows = with_rows(UniBiO(), ["upper_step"], grid_of({"upper_step": [1, 0.5], "momentum": [0.1, 0.2]}), like)
    assert rows.upper_step.tolist() == [[1.0], [1.0], [0.5], [0.5]]
    assert rows.upper_step.dtype == torch.float32
    assert rows.momentum == 0.9
    with pytest.raises(InputError, match=r"algorithm\.upper_step must be numbers to be an axis, got \['a'\]"):
        with_rows(UniBiO(), ["upper_step"], grid_of({"upper_step": ["a"]}), like)


# Errors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        # names
        ({"upper_stp": 0.1}, r"'upper_stp'\. Did you mean 'upper_step'\? Accepted: .*momentum.*neumann_terms"),
        ({"step": 100}, r"unknown argument of solve or parameter of algorithm unibio, 'step'\. Did you mean 'steps'\?"),
        ({"seeds": 3}, r"'seeds'\. Did you mean 'seed'\?"),
        ({"upper_stp": [0.1, 0.2]}, r"'upper_stp'\. Did you mean 'upper_step'"),
        ({"algorithm": "unibo"}, r"unknown algorithm 'unibo'\. Did you mean 'unibio'\? Accepted: .*unibio_released"),
        ({"algorithm": UniBiO(), "perod": 3}, r"'perod'\. Did you mean 'period'"),
        ({"algorithm": UniBiO}, r"algorithm is the class UniBiO; call it: UniBiO\(\)"),
        ({"algorithm": 3}, "algorithm must be a name or an Algorithm object, got int"),
        ({"problem": "example3"}, "problem must be a Problem or a ProblemSpec, got str"),
        ({"problem": Example3}, r"problem is the class Example3; call it: Example3\(\)"),
        # axes
        ({"x0": [[1.0], [2.0], [1.0]]}, "x0 and y0: start 2 is start 0 again"),
        ({"x0": [[1.0], [1.0]], "y0": [[1.0], [2.0]], "seed": [2**63]}, "seed must be an integer"),
        ({"period": [1, 2]}, r"algorithm\.period cannot be a grid axis .*Axes can be: .*upper_step"),
        ({"average": ["first", "last"]}, r"average must be a number or a list of numbers to vary it, got 'first'"),
        ({"upper_step": ["0.1"]}, r"upper_step must be a number or a list of numbers .*'0\.1'"),
        ({"upper_step": [0.1, None]}, "upper_step must be .* got None in the list"),
        ({"upper_step": [[0.1], [0.2]]}, r"upper_step must be .* got \[0\.1\] in the list"),
        ({"upper_step": []}, "upper_step is an empty list; give at least one value"),
        ({"seed": []}, "seed is an empty list"),
        ({"upper_step": [0.1, -1.0]}, r"algorithm\.upper_step = .* accepted: > 0"),
        # seeds
        ({"seed": 1.5}, r"seed must be an integer in \[−2⁶³, 2⁶³\) or several of them, got 1\.5"),
        ({"seed": [0, 1.0]}, r"seed must be an integer .*got 1\.0"),
        ({"seed": "3"}, "seed must be an integer .*got '3'"),
        ({"seed": True}, "seed must be an integer .*got True"),
        ({"seed": None}, "seed must be an integer .*got None"),
        ({"seed": 2**63}, "seed must be an integer"),
        # starts
        ({"x0": float("nan")}, "x0 has entries that are not finite"),
        ({"y0": [float("inf")]}, "y0 has entries that are not finite"),
        ({"x0": [1.0, 2.0]}, r"x0 has 2 coordinates, this problem needs 1; several starts are \(k, 1\)"),
        ({"y0": [[1.0, 2.0]]}, "y0 has 2 coordinates, this problem needs 1"),
        ({"x0": [[[1.0]]]}, r"x0 must be a number, a \(d,\) vector or \(k, d\) starts, got shape \(1, 1, 1\)"),
        ({"x0": []}, r"x0 must be .* got shape \(0,\)"),
        ({"x0": "one"}, "x0 must be a number"),
        ({"x0": [[1.0], [2.0]], "y0": [[1.0], [2.0], [3.0]]}, "x0 and y0 give 2 and 3 starts; give the same number"),
        ({"problem": quadratic()}, "x0 is missing: this problem brings no start of its own; give a number or a vector"),
        ({"problem": quadratic(), "x0": 1.0}, "y0 is missing"),
        # lengths
        ({"steps": None}, r"give steps \(outer iterations\), budget \(oracle calls\) or epochs"),
        ({"steps": -5}, "steps must be a positive integer, got -5"),
        ({"steps": 10.0}, r"steps must be a positive integer, got 10\.0"),
        ({"budget": 0}, "budget must be a positive integer, got 0"),
        ({"log_points": 0}, "log_points must be an integer ≥ 2"),
        (
            {"targets": {"hypergradient_norm": 0.1}},
            r"targets\.hypergradient_norm must be a list of thresholds, got 0\.1",
        ),
        ({"targets": {"gradient": [0.1]}}, r"targets\.gradient: .* offers hypergradient_norm"),
        # where and in what
        ({"dtype": torch.int64}, "dtype must be torch.float64 or torch.float32, got torch.int64"),
        (
            {"dtype": "float64"},
            "dtype must be torch.float64 or torch.float32, got 'float64'; write dtype=torch.float64",
        ),
        ({"dtype": torch.float16}, "dtype must be torch.float64 or torch.float32, got torch.float16"),
        ({"dtype": "bfloat16"}, "dtype must be torch.float64 or torch.float32, got 'bfloat16'$"),
        ({"dtype": "wide"}, "dtype must be torch.float64 or torch.float32, got 'wide'"),
        ({"progress": 3}, "progress must be True for a bar, or a function of an iteration's number, got 3"),
        ({"device": "abacus"}, "device 'abacus' is none of PyTorch's; write device='cpu' or device='cuda'"),
        ({"device": "gpu"}, "device 'gpu' is none of PyTorch's; write device='cpu' or device='cuda'"),
        # axes
        ({"seed": [0, 1, 0]}, "seed has 0 twice"),
        ({"seed": [0, 1.5]}, "seed must be an integer"),
        ({"seed": [0, True]}, "seed must be an integer"),
        ({"seed": np.array([0.0, 1.0])}, "seed must be an integer"),
        ({"seed": [2**63]}, r"seed must be an integer in \[−2⁶³, 2⁶³\)"),
        ({"seed": range(10**9)}, "seed has more than 1,000,000 values"),
        ({"seed": range(2000), "upper_step": [k / 1e5 for k in range(1, 2001)]}, "the grid has 4,000,000 runs"),
        ({"upper_step": [0.1, 0.2, 0.1]}, r"upper_step has 0\.1 twice"),
        ({"upper_step": [0.1, float("nan")]}, "upper_step: nan is not a finite number"),
        ({"upper_step": [0.1, 10**400]}, "upper_step: 10+ is not a finite number of 64 bits"),
        ({"upper_step": [0.1, np.True_]}, "upper_step must be a number"),
        ({"targets": {"hypergradient_norm": [0.1, 0.1]}}, r"targets\.hypergradient_norm has 0\.1 twice"),
        ({"targets": {"hypergradient_norm": [True]}}, r"targets\.hypergradient_norm must be a number"),
        ({"steps": 2**63}, "steps must be a positive integer"),
        ({"period": 2**63}, r"algorithm\.period = 9223372036854775808 is not accepted"),
    ],
)
def test_errors(arguments, message):
    given = {"problem": Example3(), "steps": 2} | arguments
    with pytest.raises(InputError, match=message):
        solve(**given)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there():
    with pytest.raises(InputError, match="device 'cuda' cannot be used here"):
        solve(Example3(), steps=2, device="cuda")


def test_the_suggestions_know_solves_own_arguments():
    keywords = [p.name for p in inspect.signature(solve).parameters.values() if p.kind == p.KEYWORD_ONLY]
    assert set(_OWN) == set(keywords)
    for cls in ALGORITHMS.values():
        assert not set(_OWN) & set(cls.__dataclass_fields__), f"{cls.name} has a parameter that solve would swallow"


def test_algorithms_of_ones_own_need_no_registration():
    class Still(Algorithm):
        name = "still"

        def init(self, oracle, x, y):
            return {"x": x, "y": y}

        def step(self, oracle, state):
            oracle.grad_lower(state["x"], state["y"])
            return state

    result = solve(Example3(), Still(), steps=3)
    assert float(result.x) == 1.0
    assert result.runs["grad_lower"].tolist() == [3]


def test_seeds_that_make_no_difference_are_said():
    with pytest.warns(UserWarning, match="the 3 seeds gave one and the same run, to the bit"):
        result = solve(Example3(), steps=3, seed=range(3), upper_step=[0.1, 0.2])
    assert len(result.warnings) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert solve(Example3(noise=1.0), steps=3, seed=range(3)).warnings == ()
        assert solve(Example3(), steps=3, seed=[4]).warnings == ()
        assert solve(Example3(), steps=3, upper_step=[0.1, 0.2]).warnings == ()
