"""``module_problem``: two modules, two losses and their data as a bilevel problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from unibio.core.losses import with_sample
from unibio.core.problem import Metrics, Problem, Sampler
from unibio.core.streams import Draw
from unibio.errors import InputError
from unibio.nn.batch import Batch, seeded
from unibio.nn.datasets import Points, seeds
from unibio.nn.flat import Flat
from unibio.nn.modules import Pair


def module_problem(
    *,
    upper: torch.nn.Module,
    lower: torch.nn.Module,
    lower_loss: Callable[..., Tensor],
    upper_loss: Callable[..., Tensor],
    lower_data: Any = None,
    upper_data: Any = None,
    tasks: Callable[[Draw], Any] | None = None,
    restart: Callable[[Tensor], Tensor] | None = None,
    metrics: Mapping[str, Callable[[Any, Any], Any]] | None = None,
    averaged: tuple[str, ...] = (),
    buffers: str | None = None,
    exponent: float = 2,
    weighted: Callable[[Batch], Tensor | None] | None = None,
    diagnosed: int | str | None = "minibatch",
    vectorised: bool = False,
    name: str = "modules",
) -> Problem:
    """A bilevel problem over the parameters of two modules.

    x and y are the trainable parameters of ``upper`` and ``lower`` in a row; a run starts from the modules' own and is
    computed in their type on their device, unless it is told otherwise. The modules are copied and never written into;
    parameters that require no gradient stay as they are. What comes out is ``result.upper`` and ``result.lower``.

    Args:
        upper, lower: modules with trainable parameters.
        lower_loss, upper_loss: (upper, lower, batch) -> scalar. The modules have the parameters of the point asked for,
            and can be called and looked into as ever; ``batch`` is a :class:`~unibio.nn.batch.Batch`.
        lower_data, upper_data: map-style data sets, ``len(data)`` and ``data[i]``; None where a loss has none. Which
            items a sample has is the draw's decision, ``batch_size`` how many. Data sets of tensors (TensorDataset,
            subsets of one, a tensor) are gathered at once. What an item's making uses of torch's, NumPy's and Python's
            random numbers belongs to the draw as well: augmentation is as reproducible as all else.
        tasks: in the place of data, for meta-learning: draw -> a tuple or a dictionary of tensors, the runs first, made
            by ``draw.uniform(k)`` and ``draw.normal(k)``. Every outer iteration has fresh tasks, shared by both levels,
            and y begins again in it: at ``restart``.
        restart: with tasks, x: (runs, d_x) -> y: (runs, d_y); left out, y begins at x, which must have its size.
        metrics: {name: (upper, lower) -> number}, of modules in evaluation mode; None for the default ones.
        averaged: names of metrics that are averaged over every iteration.
        buffers: "frozen" evaluates modules as after ``.eval()``, so that nothing is dropped and stored statistics are
            used; "batch" as after ``.train()``, with the statistics of the minibatch, of which nothing is stored, and
            with dropout masks that belong to the sample; "lower_steps" computes the same, and every lower step stores
            the statistics of its minibatch, for metrics and results, which then are in evaluation mode. It costs a
            forward pass a lower step. Has to be said where layers tell the difference.
        exponent: p of the lower level's uniform convexity.
        weighted: as in :class:`~unibio.core.problem.Problem`; in hyper-cleaning ``lambda b: b.index``.
        diagnosed: data points that an algorithm's settings are checked on at the start, by up to a hundred
            Hessian–vector products: by default as many as a minibatch has, and at most 100; None for all.
        vectorised: compute the runs of a grid at once by ``torch.func.vmap``, which is faster for small modules and
            not possible for all; their numbers then agree with those of single runs up to rounding. By default runs are
            computed one after another, which works for every module, and are equal to single ones to the last bit.
        name: for messages.

    Raises:
        InputError: arguments that cannot work; one line says which and what to write.
    """
    pair = Pair(Flat(upper, "upper"), Flat(lower, "lower"), buffers)
    shared = {id(parameter) for parameter in upper.parameters()} & {id(parameter) for parameter in lower.parameters()}
    if shared:
        raise InputError(
            "upper and lower have parameters in common, and each must belong to one level: give one a copy"
        )
    if vectorised and pair.random:
        raise InputError(
            f"vectorised=True computes modules in evaluation mode only: leave it out with buffers={buffers!r}"
        )
    points = {
        role: None if data is None else Points(data, role)
        for role, data in (("upper", upper_data), ("lower", lower_data))
    }
    losses, plain = {}, {}
    for role, function in (("upper", upper_loss), ("lower", lower_loss)):
        if not callable(function):
            raise InputError(f"{role}_loss must be a function of (upper, lower, batch), got {function!r}")
        value = pair.loss(with_sample(function, f"{role}_loss"), role, vectorised)
        losses[role] = value if vectorised else _one_by_one(value)
        plain[role] = with_sample(function, f"{role}_loss")
    if metrics is not None and not isinstance(metrics, Mapping):
        raise InputError(f"metrics must be {{name: function of (upper, lower)}}, got {metrics!r}")
    for key, metric in (metrics or {}).items():
        if not callable(metric):
            raise InputError(f"metrics: {key!r} must be a function of (upper, lower), got {metric!r}")
    starts = pair.upper.vector(), pair.lower.vector()
    _check_tasks(tasks, restart, starts, upper_data is not None or lower_data is not None)
    stored = pair.stored
    made = Problem(
        losses["upper"],
        losses["lower"],
        exponent=exponent,
        sample_upper=None if tasks else _sampler(points["upper"], pair.random),
        sample_lower=None if tasks else _sampler(points["lower"], pair.random),
        tasks=None if tasks is None else _task_sampler(tasks, pair.random),
        restart=restart if restart is not None or tasks is None else torch.clone,
        size_upper=None if points["upper"] is None else points["upper"].size,
        size_lower=None if points["lower"] is None else points["lower"].size,
        metrics=None if metrics is None else _metrics(pair, dict(metrics)),
        averaged=averaged,
        weighted=weighted,
        diagnosed=diagnosed,
        start=starts,
        like=starts[1],
        view=pair.view,
        buffers=None if stored is None else stored.stepping(plain["lower"]),
        batched=not vectorised,
        name=name,
    )
    if stored is not None:
        stored.check_unread(plain, {role: made.probed(role, [0], starts[1]) for role in plain})
    return made


def _one_by_one(value: Callable[[Tensor, Tensor, Batch], Tensor]) -> Callable[[Tensor, Tensor, Batch], Tensor]:
    """A loss of vectors as one of rows, run after run."""

    def rows(x: Tensor, y: Tensor, batch: Batch) -> Tensor:
        found = []
        for run in range(len(x)):
            one = batch.of_run(run)
            with seeded(one.seed, x.device):
                found.append(value(x[run], y[run], one))
        return torch.stack(found) if found else x.new_zeros(0)

    return rows


def _sampler(points: Points | None, random: bool) -> Sampler:
    """Minibatches of a level, with the seed of its dropout masks where there may be any."""

    def sample(draw: Draw) -> Batch:
        items, index = ((), None) if points is None else points.batch(draw)
        return Batch(items, index, seeds(draw, "masks") if random else None)

    return sample


def _task_sampler(tasks: Callable[[Draw], Any], random: bool) -> Sampler:
    def sample(draw: Draw) -> Batch:
        items = tasks(draw)
        if not isinstance(items, (tuple, list, Mapping)):
            items = (items,)
        return Batch(items, None, seeds(draw, "masks") if random else None)

    return sample


def _check_tasks(tasks: Any, restart: Any, starts: tuple[Tensor, Tensor], data: bool) -> None:
    """Refuse tasks beside data, and y that does not know where to begin."""
    if tasks is None:
        if restart is not None:
            raise InputError("restart belongs to tasks, which are not given: without them y goes on where it was")
        return
    if not callable(tasks):
        raise InputError(f"tasks must be a function of a draw that gives tensors, got {tasks!r}")
    if data:
        raise InputError("tasks are the samples of both levels: leave upper_data and lower_data out")
    x, y = starts
    if restart is None and x.shape != y.shape:
        raise InputError(
            f"upper has {len(x)} parameters and lower {len(y)}: say where y begins in every iteration by restart=, a "
            "function of x: (runs, d_x) that gives (runs, d_y)"
        )
    if restart is not None:
        begin = restart(x[None]) if callable(restart) else None
        if not isinstance(begin, Tensor) or begin.shape != y[None].shape:
            raise InputError(f"restart must be a function that gives (runs, {len(y)}) for x: (runs, {len(x)})")


def _metrics(pair: Pair, metrics: Mapping[str, Callable[[Any, Any], Any]]) -> Metrics:
    return lambda x, y, *buffers: pair.measure(metrics, x, y, *buffers)
