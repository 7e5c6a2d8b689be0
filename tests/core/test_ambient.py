"""What surrounds a computation in PyTorch changes no number, and is as it was afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pandas as pd
import pytest
import torch

from support import tensor
from unibio import Coordinatewise, Problem, compare, hypergradient, solve
from unibio.algorithms.soba import SOBA
from unibio.core.ambient import clean
from unibio.problems.quadratic import Quadratic
from unibio.simulation.rows import Batch, simulated
from unibio.simulation.settings import Settings


@contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "autocast to half precision": lambda: torch.autocast("cpu", dtype=torch.float16),
    "no_grad": torch.no_grad,
    "grad off": lambda: torch.set_grad_enabled(False),
    "inference": torch.inference_mode,
    "default float64": lambda: default_type(torch.float64),
    "default float16": lambda: default_type(torch.float16),
    "default device": lambda: torch.device("meta"),
}


def state() -> tuple[Any, ...]:
    return (
        torch.is_autocast_enabled("cpu"), torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
        torch.get_default_dtype(), torch.get_default_device(),
    )  # fmt: skip


A = tensor([[1.0, 0.5], [0.2, 2.0], [0.3, -0.4]])


def own_problem() -> Problem:
    """Matrix products, which autocasting shortens, and tensors made inside, which follow the defaults."""
    return Problem(
        upper=lambda x, y: (torch.sin(A.to(y.dtype) @ y) * torch.tensor([0.1, 0.7, 1.3])).sum(),
        lower=lambda x, y, noise: (
            0.5 * y @ (torch.eye(2) + torch.full((2, 2), 0.1)) @ y - torch.tanh(x) @ y + noise @ y
        ),
        sample_lower=lambda draw: torch.tensor(0.3) * draw.normal(2),
    )


def solved(problem: Any, **options: Any) -> list[Any]:
    result = solve(problem, "stocbio", steps=3, **options)
    return [result.x, result.y, result.history.drop(columns="seconds")]


def simulated_batch() -> list[Any]:
    batch = Batch(Quadratic(size_lower=8, size_upper=8), SOBA(batch_size=2), {"seed": [1, 2]}, 0, torch.float32)
    result = simulated(batch, torch.device("cpu"), Settings(5))
    return [result.x, result.y, result.history.drop(columns="seconds")]


COMPUTATIONS: dict[str, Callable[[], list[Any]]] = {
    "solve float64": lambda: solved(own_problem(), x0=[0.1, 0.2], y0=[0.0, 0.5]),
    "solve float32": lambda: solved(own_problem(), x0=[0.1, 0.2], y0=[0.0, 0.5], dtype=torch.float32),
    "solve a spec": lambda: solved(Coordinatewise(dimension=3, noise=0.1)),
    "compare": lambda: [
        compare(own_problem(), ["soba"], [0.1, 0.2], [0.0, 0.5], steps=3).history.drop(columns="seconds")
    ],
    "hypergradient": lambda: [
        hypergradient(own_problem(), [0.1, 0.2], [0.3, 0.5], estimator=name, neumann_terms=5)
        for name in ("exact", "cg", "neumann")
    ],
    "a configured batch": simulated_batch,
}  # fmt: skip


@pytest.mark.one_in(3)
@pytest.mark.filterwarnings("ignore:In CPU autocast")
@pytest.mark.parametrize("what", COMPUTATIONS)
def test_no_mode_changes_a_number(what):
    expected = COMPUTATIONS[what]()
    for name, mode in MODES.items():
        with mode():
            before = state()
            found = COMPUTATIONS[what]()
            assert state() == before, name
        for one, other in zip(found, expected, strict=True):
            if isinstance(one, pd.DataFrame):
                pd.testing.assert_frame_equal(one, other, check_exact=True, obj=name)
                continue
            assert torch.equal(one, other), name
            assert not one.requires_grad, name
            assert not one.is_inference(), name


def test_a_start_of_inference_mode_is_one_like_others():
    with torch.inference_mode():
        x, y = tensor([0.1, 0.2]), tensor([0.0, 0.5])
    assert torch.equal(solved(own_problem(), x0=x, y0=y)[0], solved(own_problem(), x0=[0.1, 0.2], y0=[0.0, 0.5])[0])


def test_the_state_comes_back_after_an_error():
    def failing(x, y):
        raise ArithmeticError("no")

    with torch.inference_mode(), torch.autocast("cpu"), default_type(torch.float16):
        before = state()
        with pytest.raises(ValueError, match="no"):
            hypergradient(Problem(failing, failing), 0.0, 0.0)
        assert state() == before


def test_the_default_type_comes_back_whichever_computation_ends_first():
    """Several threads share it: the first to end must not take it from the others, the last gives it back."""
    first, second = ExitStack(), ExitStack()
    before = torch.get_default_dtype()
    first.enter_context(clean(torch.float64, "cpu"))
    second.enter_context(clean(torch.float64, "cpu"))
    first.close()
    assert torch.get_default_dtype() == torch.float64
    second.close()
    assert torch.get_default_dtype() == before


def test_one_inside_another():
    before = torch.get_default_dtype()
    with clean(torch.float64, "cpu"):
        with clean(torch.float32, "cpu"):
            assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.float64
    assert torch.get_default_dtype() == before
