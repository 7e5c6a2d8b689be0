"""Update rules against torch's optimizers; every algorithm's steps with and without them; what is refused."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unibio import Coordinatewise, InputError, Problem, compare, solve
from unibio.core.algorithm import LEVELS
from unibio.core.moves import Moves
from unibio.core.rule_checks import steps_of
from unibio.core.rules import SGD, Adam, AdamW, constant, cosine, power, warm_up
from unibio.registry import ALGORITHMS, VARIANTS

OPTIMIZERS: dict[str, tuple[Any, Callable[[Any], torch.optim.Optimizer]]] = {
    "plain": (SGD(0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
    "momentum": (SGD(0.1, momentum=0.9), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
    "Nesterov": (
        SGD(0.1, momentum=0.8, nesterov=True),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True),
    ),
    "Adam": (Adam(0.1, betas=(0.8, 0.95)), lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.95))),
    "AdamW": (AdamW(0.1, weight_decay=0.2), lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.2)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@given(seed=st.integers(0, 10**6), cut=st.floats(0.1, 3.0))
@settings(max_examples=10, deadline=None)
def test_a_rule_is_torchs_optimizer_row_by_row(name: str, seed: int, cut: float) -> None:
    """With clipping and a schedule, too; torch's act on one row at a time."""
    rule, made = OPTIMIZERS[name]
    rule = dataclasses.replace(rule, clip=cut, schedule=cosine(6, final=0.2))
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(8, 3, 4, generator=generator, dtype=torch.float64)
    y = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    state: dict[str, Any] = {}
    rows = [row.clone().requires_grad_() for row in y]
    optimizers = [made([row]) for row in rows]
    for k, direction in enumerate(directions):
        moves = Moves({"lower": rule}, state, k)
        y, state = moves.lower(y, 123.0, direction), moves.carried
        for row, optimizer, gradient in zip(rows, optimizers, direction, strict=True):
            optimizer.param_groups[0]["lr"] = 0.1 * rule.schedule(k)
            row.grad = gradient * min(1.0, cut / float(gradient.norm()))
            optimizer.step()
        torch.testing.assert_close(y, torch.stack([row.detach() for row in rows]), rtol=1e-10, atol=1e-12)


def test_schedules() -> None:
    assert [constant()(k) for k in (0, 7)] == [1, 1]
    assert [power(0.5)(k) for k in (0, 3)] == [1, 0.5]
    assert power(1, offset=10)(10) == pytest.approx(0.5)
    assert [cosine(4)(k) for k in (0, 2, 4, 9)] == pytest.approx([1, 0.5, 0, 0])
    assert cosine(4, final=0.1)(1) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)
    assert [warm_up(4, cosine(2))(k) for k in (0, 3, 4, 5, 6)] == pytest.approx([0.25, 1, 1, 0.5, 0])


# In the algorithms ----------------------------------------------------------------------------------------------------

SPEC = Coordinatewise(dimension=3, exponent=2, noise=0.1)
CLASSES = {**ALGORITHMS, **VARIANTS}
#: Every algorithm and variant with every level: each takes a rule, or refuses it.
PAIRS = [(name, level) for name in CLASSES for level in LEVELS]
TAKES = [(name, level) for name, level in PAIRS if level in CLASSES[name].updates]
REFUSES = [pair for pair in PAIRS if pair not in TAKES]


@cache
def problem() -> Problem:
    """Shared by all tests, with what the library found when it first looked at it."""
    return SPEC.build()


def run(algorithm: Any, **changes: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return solve(problem(), algorithm, **{"steps": 5, "seed": 3, "log_points": 2} | changes)


def named(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    return {"argnames": ("name", "level"), "argvalues": pairs, "ids": [" ".join(pair) for pair in pairs]}


@pytest.mark.one_in(12)
@pytest.mark.parametrize(**named(TAKES))
def test_the_plain_rule_is_the_plain_step_and_another_is_another(name: str, level: str) -> None:
    plain, ruled = run(name), run(name, **{f"{level}_update": SGD()})
    assert torch.equal(plain.x, ruled.x)
    assert torch.equal(plain.y, ruled.y)
    quick = run(name, **{f"{level}_update": SGD(momentum=0.9)})
    assert not (torch.equal(plain.x, quick.x) and torch.equal(plain.y, quick.y))


def test_a_step_of_the_rule_stands_in_the_place_of_the_algorithms() -> None:
    """And of its decay: SOBA's steps decay, a rule's own do not."""
    ruled = run("soba", lower_update=SGD(0.02))
    assert torch.equal(ruled.y, run("soba", lower_step=0.02, lower_decay=0.0).y)


def test_memory_is_every_runs_own_and_goes_into_checkpoints(tmp_path: Path) -> None:
    rules: dict[str, Any] = {"upper_update": Adam(schedule=cosine(8)), "lower_update": SGD(momentum=0.5, clip=0.3),
                             "auxiliary_update": AdamW(0.01)}  # fmt: skip
    grid = run("soba", upper_step=[0.01, 0.1], seed=[3, 4], **rules)
    assert_as_alone(grid.x[0], run("soba", upper_step=0.01, **rules).x)
    whole = run("unibio_plain", steps=8, lower_update=Adam(0.1))
    done: list[int] = []
    given: dict[str, Any] = {"steps": 8, "lower_update": Adam(0.1), "checkpoint": tmp_path / "c"}
    part = run("unibio_plain", **given, progress=done.append, should_stop=lambda: len(done) == 5)
    assert part.status == "interrupted"
    assert torch.equal(run("unibio_plain", **given).y, whole.y)
    with pytest.raises(InputError, match=r"algorithm\.lower_update"):
        run("unibio_plain", **given | {"lower_update": Adam(0.2)})


@pytest.mark.one_in(3)
@pytest.mark.parametrize(**named(TAKES))
def test_a_rules_own_step_decides_and_is_given_once(name: str, level: str) -> None:
    """Whatever parameter of the algorithm says the same, of whatever sequence of iterates, is refused beside it."""
    key, cls = f"{level}_update", CLASSES[name]
    short, long = (run(name, **{key: SGD(step)}) for step in (1e-3, 2e-3))
    assert not (torch.equal(short.x, long.x) and torch.equal(short.y, long.y))
    declared = {field.name: field.default for field in dataclasses.fields(cls)}
    for parameter in set(steps_of(cls, level)) & declared.keys():
        for value in {declared[parameter] or 0.25, 0.25}:
            with pytest.raises(InputError, match=f"{parameter} and {key}=SGD.* both say what the step is: leave"):
                run(name, **{key: SGD(0.1), parameter: value})


@pytest.mark.parametrize(**named(REFUSES))
def test_what_takes_no_rule_refuses_it_in_one_line(name: str, level: str) -> None:
    """With the reason, and what to do; whatever can move has a reason of its own."""
    key = f"{level}_update"
    with pytest.raises(InputError, match=f"{key}: algorithm {name} takes none: .*; leave {key} out") as refused:
        run(name, **{key: SGD(0.1)})
    assert "\n" not in str(refused.value)
    moves = any(field.name == f"{level}_step" for field in dataclasses.fields(CLASSES[name]))
    assert moves <= (f"it has no {level} step" not in str(refused.value))


def assert_as_alone(row: torch.Tensor, alone: torch.Tensor) -> None:
    """Equal but for the rounding of a few iterations."""
    bound = 1e-10 if row.dtype == torch.float64 else 1e-4
    torch.testing.assert_close(row, alone, rtol=bound, atol=bound)


#: Rules with several values of their numbers, and the rule of one run.
VARYING: dict[str, tuple[str, Callable[[Any], Any], list[float]]] = {
    "step": ("step", lambda v: SGD(v, schedule=cosine(7)), [0.1, 0.23]),
    "momentum": ("momentum", lambda v: SGD(0.07, momentum=v, nesterov=True), [0.31, 0.9]),
    "no momentum": ("momentum", lambda v: SGD(0.07, momentum=v), [0.0, 0.9]),
    "clip": ("clip", lambda v: SGD(0.3, momentum=0.3, clip=v), [0.03, 0.3]),
    "Adam's step": ("step", lambda v: Adam(v, schedule=warm_up(3, power(0.3))), [0.013, 0.1]),
    "eps": ("eps", lambda v: Adam(0.1, eps=v), [1e-8, 0.3]),
    "weight decay": ("weight_decay", lambda v: AdamW(0.1, weight_decay=v), [0.013, 0.7]),
}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", VARYING)
def test_runs_of_a_rule_with_several_values_are_single_runs(name: str, dtype: torch.dtype) -> None:
    """Up to how a product of matrices rounds, which on some processors depends on how many runs lie side by side."""
    number, made, values = VARYING[name]
    given: dict[str, Any] = {"algorithm": "soba", "dtype": dtype, "steps": 8}
    grid = run(**given, seed=[3, 4], lower_update=made(values))
    assert list(grid.runs[f"lower_update.{number}"]) == values * 2
    for place, (seed, value) in enumerate((seed, value) for seed in (3, 4) for value in values):
        alone = run(**given, seed=seed, lower_update=made(value))
        assert_as_alone(grid.x[place], alone.x)
        assert_as_alone(grid.y[place], alone.y)
    assert float((grid.y[0] - grid.y[1]).abs().max()) > 1e-3


def test_two_numbers_and_two_rules_make_a_grid_and_a_checkpoint_goes_on(tmp_path: Path) -> None:
    rules: dict[str, Any] = {"lower_update": SGD([0.1, 0.2], momentum=[0.3, 0.6]), "upper_update": Adam((0.01, 0.02))}
    grid = run("soba", steps=6, **rules)
    assert len(grid.runs) == 8
    last = run("soba", steps=6, lower_update=SGD(0.2, momentum=0.6), upper_update=Adam(0.02))
    assert_as_alone(grid.y[-1], last.y)
    done: list[int] = []
    path = tmp_path / "c"
    run("soba", steps=6, **rules, checkpoint=path, progress=done.append, should_stop=lambda: len(done) == 3)
    assert torch.equal(run("soba", steps=6, **rules, checkpoint=path).y, grid.y)
    with pytest.raises(InputError, match="lower_update"):
        run("soba", steps=6, **rules | {"lower_update": SGD([0.1, 0.3], momentum=[0.3, 0.6])}, checkpoint=path)


def test_tuning_tries_rules_and_their_numbers() -> None:
    """The numbers as one batch, and the choice is that of trying rules one by one."""
    given: dict[str, Any] = {"steps": 20, "seed": range(2), "metric": "value", "tuning_seeds": 2}
    steps = [0.001, 0.05, 0.2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numbers = compare(SPEC, {"A": "soba"}, **given, lower_update=Adam(0.1), tune={"lower_update.step": steps})
        rules = compare(SPEC, {"A": "soba"}, **given, tune={"lower_update": [Adam(step) for step in steps]})
    one, other = numbers.tuning["A"], rules.tuning["A"]
    np.testing.assert_allclose(one["criterion"], other["criterion"], rtol=1e-10)
    assert [Adam(step) for step in one["lower_update.step"]] == list(other["lower_update"])
    assert_as_alone(numbers.results["A"].x, rules.results["A"].x)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"lower_update": SGD([0.1, 0.1])}, "lower_update.step has 0.1 twice"),
        ({"lower_update": SGD([0.1, 0.2]), "lower_step": 0.1}, "lower_step and lower_update=SGD.* both say"),
        ({"lower_update": SGD(), "lower_update.step": [0.1, -1]}, "SGD: step must be a number > 0, got -1"),
        (
            {"lower_update": SGD(), "lower_update.steps": [0.1]},
            "'lower_update.steps'.*Did you mean 'lower_update.step'",
        ),
        ({"lower_update.step": [0.1, 0.2]}, "unknown parameter of algorithm soba, 'lower_update.step'"),
        ({"lower_update": SGD(), "lower_step": 0.2, "lower_update.step": [1, 2]}, "lower_step and lower_update=SGD"),
    ],
    ids=range(6),
)
def test_values_that_make_no_grid_are_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        run("soba", **arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"upper_update": Adam(1e-3), "upper_step": 0.2}, "upper_step and upper_update=Adam.* both say"),
        ({"upper_update": Adam(1e-3), "upper_step": 0.1}, "upper_step and upper_update=Adam.* both say"),
        ({"upper_update": Adam(1e-3), "upper_step": [0.1, 0.2]}, "upper_step and upper_update=Adam.* both say"),
        ({"lower_update": SGD(0.1), "lower_decay": 0.3}, "lower_decay and lower_update=SGD.* both say"),
        ({"lower_update": Adam}, r"lower_update must be an update rule, such as Adam\(1e-3\)"),
        ({"lower_update": torch.optim.SGD}, "got the class SGD"),
    ],
    ids=range(6),
)
def test_a_step_is_given_once_and_a_rule_is_one(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        run("soba", **arguments)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: SGD([]), "SGD: step is an empty list"),
        (lambda: SGD([0.1, 0.0]), "SGD: step must be a number > 0, got 0.0"),
        (lambda: SGD(0.0), "SGD: step must be a number > 0"),
        (lambda: SGD(momentum=1.0), "SGD: momentum must be a number ≥ 0 and < 1"),
        (lambda: SGD(nesterov=True), "needs a momentum"),
        (lambda: Adam(betas=(0.9, 1.0)), "Adam: betas must be a number ≥ 0 and < 1"),
        (lambda: AdamW(weight_decay=-1.0), "AdamW: weight_decay"),
        (lambda: Adam(clip=np.nan), "Adam: clip must be"),
        (lambda: Adam(schedule=0.5), "Adam: schedule must be a schedule"),
        (lambda: cosine(0), "cosine: steps"),
        (lambda: warm_up(3, then=1.0), "warm_up: then must be a schedule"),
    ],
    ids=range(11),
)
def test_rules_check_what_they_are_given(made: Callable[[], Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        made()
