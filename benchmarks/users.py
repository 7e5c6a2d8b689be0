"""A user's own problems, two scalar losses and nothing else, against the torch loops one would write by hand.

Both sides make the same calls of autograd in the same order; a hand-written loop counts nothing, logs nothing and knows
one run. Before anything is timed it follows ours on the same minibatches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import grad
from torch.nn.functional import cross_entropy

import users_memory
from measure import Contestant, Row, interleaved, over
from unibio import Problem, solve
from unibio.core.streams import Draw, Streams

#: A user may pay so many times what the hand-written loop takes.
TARGET = 1.3
TYPE = torch.float64


class Case(NamedTuple):
    """A problem, how ours runs it, and the loop by hand.

    Attributes:
        what: for the note.
        ours: steps -> (x, y).
        by_hand: (steps, minibatches) -> (x, y); a minibatch is None where there are none.
        drawn: the minibatches of ours, in the order of the loop's.
        fresh: the loop's own.
    """

    what: str
    ours: Callable[[int], tuple[Tensor, Tensor]]
    by_hand: Callable[[int, Iterator[Any]], tuple[Tensor, Tensor]]
    drawn: Callable[[], Iterator[Any]]
    fresh: Callable[[], Iterator[Any]]


@dataclass(frozen=True)
class Scale:
    """Iterations of either problem, data points and pixels of hyper-cleaning, rounds; units where memory counts."""

    readme_steps: int = 500
    cleaning_steps: int = 2000
    points: int = 2000
    pixels: int = 784
    repetitions: int = 9
    units: int = users_memory.UNITS


def rows(scale: Scale) -> dict[str, Row]:
    """Per problem: seconds an iteration of either side, and the ratio; then the ratio of memory on a large one."""
    table: dict[str, Row] = {}
    cases = {"readme": (readme(), scale.readme_steps)}
    cases["hyper_cleaning"] = hyper_cleaning(scale.points, scale.pixels), scale.cleaning_steps
    for name, (case, steps) in cases.items():
        table[f"agreement/users/{name}"] = agree(case)
        pair = {
            "ours": Contestant(lambda case=case, steps=steps: case.ours(steps), steps),
            "by_hand": Contestant(lambda case=case, steps=steps: case.by_hand(steps, case.fresh()), steps),
        }
        table |= over(f"users/{name}", interleaved(pair, scale.repetitions), "by_hand", TARGET, case.what)
    return table | users_memory.rows(scale.units)


def agree(case: Case, steps: int = 20) -> Row:
    """The largest difference of the last iterates on the same minibatches."""
    pairs = zip(case.ours(steps), case.by_hand(steps, case.drawn()), strict=True)
    worst = max(float((ours - theirs).abs().max()) for ours, theirs in pairs)
    if not worst <= 1e-10:
        raise ArithmeticError(f"{case.what}: the hand-written loop ends {worst:g} from ours; its time means nothing")
    return Row(worst, "largest difference", 1e-10, "users/by hand", True, f"x, y after {steps} iterations")


def readme() -> Case:
    """The README's problem by UniBiO with its defaults, as there."""
    W, b = torch.tensor([[2.0, 1.0], [0.0, 1.0]], dtype=TYPE), torch.tensor([1.0, -1.0], dtype=TYPE)

    def f(x: Tensor, y: Tensor) -> Tensor:
        return 0.5 * ((y**3 - b) ** 2).sum()

    def g(x: Tensor, y: Tensor) -> Tensor:
        return (y**4).sum() / 4 - y @ W @ x

    problem = Problem(upper=f, lower=g, exponent=4, vanishing_hessian=True)

    def ours(steps: int) -> tuple[Tensor, Tensor]:
        result = solve(problem, "unibio", x0=[-1.0, 1.0], y0=[0.0, 0.0], steps=steps, upper_step=0.01)
        return result.x, result.y

    def g_y(x: Tensor, y: Tensor) -> Tensor:
        y = y.detach().requires_grad_()
        return grad(g(x, y), y)[0]

    def lower(x: Tensor, y: Tensor) -> Tensor:
        step, radius, length, used = 1.0, 1.0, 5.0, 0.0
        while used + length <= 100:
            centre, total = y, torch.zeros_like(y)
            for _ in range(int(length)):
                total += y
                y = y - step * g_y(x, y)
                distance = (y - centre).norm()
                if distance > radius:
                    y = centre + (y - centre) * (radius / distance)
            y = total / int(length)
            used += length
            length, step, radius = length * 2**1.5, step / 2, radius / 2**0.25
        return y

    def by_hand(steps: int, _: Iterator[Any]) -> tuple[Tensor, Tensor]:
        x, y = torch.tensor([-1.0, 1.0], dtype=TYPE), torch.zeros(2, dtype=TYPE)
        m = torch.zeros_like(x)
        for t in range(steps):
            if t % 2 == 0:
                y = lower(x, y)
            at = torch.copysign(y.abs().clamp_min(1e-3), y + 0.0)
            D = 3 * at**2
            x_, y_ = x.detach().requires_grad_(), at.detach().requires_grad_()
            f_x, f_y = grad(f(x_, y_), (x_, y_), materialize_grads=True)
            v = r = f_y / D
            for _ in range(2):
                y_ = at.detach().requires_grad_()
                slope = grad(g(x, y_), y_, create_graph=True)[0]
                r = r - grad(slope, y_, r)[0] / D
                v = v + r
            x_, y_ = x.detach().requires_grad_(), at.detach().requires_grad_()
            h = f_x - grad(grad(g(x_, y_), y_, create_graph=True)[0], x_, v)[0]
            m = 0.9 * m + 0.1 * h
            x = x - 0.01 * m / m.norm()
        return x, y

    def nothing() -> Iterator[Any]:
        return iter(())

    return Case("README's problem, UniBiO, defaults", ours, by_hand, nothing, nothing)


def hyper_cleaning(points: int, pixels: int, classes: int = 10, batch: int = 64) -> Case:
    """Logistic regression with a weight for every training point, by SOBA: 7,840 weights at 784 pixels."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(pixels, classes, generator=generator, dtype=TYPE) / pixels**0.5
    data, validation = torch.randn(2, points, pixels, generator=generator, dtype=TYPE)
    labels, checked = (data @ truth).argmax(1), (validation @ truth).argmax(1)
    labels[: points // 3] = torch.randint(classes, (points // 3,), generator=generator)

    def f(x: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        return cross_entropy(validation[rows] @ y.view(pixels, classes), checked[rows])

    def g(x: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        losses = cross_entropy(data[rows] @ y.view(pixels, classes), labels[rows], reduction="none")
        return (torch.sigmoid(x[rows]) * losses).mean() + 5e-3 * (y * y).sum()

    def sample(draw: Draw) -> Tensor:
        return draw.minibatch(points)

    problem = Problem(f, g, sample_upper=sample, sample_lower=sample, size_upper=points, size_lower=points)

    def ours(steps: int) -> tuple[Tensor, Tensor]:
        start = {"x0": torch.zeros(points), "y0": torch.zeros(pixels * classes)}
        result = solve(problem, "soba", **start, steps=steps, batch_size=batch)
        return result.x, result.y

    def by_hand(steps: int, batches: Iterator[Any]) -> tuple[Tensor, Tensor]:
        x, y = torch.zeros(points, dtype=TYPE), torch.zeros(pixels * classes, dtype=TYPE)
        z = torch.zeros_like(y)
        for k in range(steps):
            step = 0.1 * (k + 1) ** -0.5
            y_ = y.detach().requires_grad_()
            g_y = grad(g(x, y_, next(batches)), y_)[0]
            x_, y_ = x.detach().requires_grad_(), y.detach().requires_grad_()
            f_x, f_y = grad(f(x_, y_, next(batches)), (x_, y_), materialize_grads=True)
            y_ = y.detach().requires_grad_()
            Hz = grad(grad(g(x, y_, next(batches)), y_, create_graph=True)[0], y_, z)[0]
            x_, y_ = x.detach().requires_grad_(), y.detach().requires_grad_()
            Jz = grad(grad(g(x_, y_, next(batches)), y_, create_graph=True)[0], x_, z)[0]
            x, y, z = x - step * (f_x - Jz), y - step * g_y, z - step * (Hz - f_y)
        return x, y

    def drawn() -> Iterator[Tensor]:
        streams, made = Streams([0]), {"lower": 0, "upper": 0}
        while True:
            for level in ("lower", "upper", "lower", "lower"):
                yield Draw(streams, level, made[level], batch).minibatch(points)[0]
                made[level] += 1

    def fresh() -> Iterator[Tensor]:
        while True:
            order = torch.randperm(points, generator=generator)
            yield from order[: points - points % batch].split(batch)

    what = f"logistic hyper-cleaning, n = {points}, {pixels * classes} weights, SOBA, batch {batch}, defaults"
    return Case(what, ours, by_hand, drawn, fresh)
