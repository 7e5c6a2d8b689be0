"""A look at what a problem hands over, before numbers are made of it: a few evaluations near the start, at one draw.

What would go wrong in silence is refused here: samples without an axis for the runs, losses that mix rows, leave
autograd's graph or have randomness of their own, callbacks that write into what they are given, own derivatives that
are not the losses', and levels that do not depend on their variables. No run's sample is drawn, and no call counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from unibio.core.derivatives import SKIP, DerivativeChecks
from unibio.core.forms import row_by_row
from unibio.core.handed import alike, check_sampler, repeated, unwritten
from unibio.core.problem import Problem, role_of
from unibio.core.slopes import RADIUS
from unibio.core.surroundings import ROLES, Near, Surroundings, naming
from unibio.errors import InputError

#: What is said where nothing was looked at.
UNCHECKED = "check=False: losses, samples and derivatives of the problem were used unchecked"


def prepare(
    problem: Problem, x: Tensor, y: Tensor, *, batch_size: int | None = None, check: bool = True
) -> tuple[str, ...]:
    """Prepare a problem (:meth:`Problem.prepare`) and probe it; once for every type, device, size of batch and form.

    Args:
        problem: the problem.
        x, y: starts, (runs, d_x) and (runs, d_y); they are not written into, whatever a callback does.
        batch_size: of the run, so that the samples are like its own.
        check: False leaves out the probe.

    Returns:
        What is worth a warning.

    Raises:
        InputError: something that the problem hands over would give wrong numbers; it is named, with what to write.
    """
    if not isinstance(check, bool):
        raise InputError(f"check must be True or False, got {check!r}")
    if not check or not len(x):
        problem.prepare(x.clone(), y.clone())
        return () if check else (UNCHECKED,)
    key = (x.dtype, x.device, x.shape[1], y.shape[1], batch_size, min(len(x), 2))
    if key not in problem.findings:
        problem.findings[key] = tuple(_findings(problem, x.clone(), y.clone(), batch_size))
    return problem.findings[key] + tuple(_undefined(problem, x.clone(), y.clone(), batch_size))


def _undefined(problem: Problem, x: Tensor, y: Tensor, batch_size: int | None) -> Iterator[str]:
    """That a loss has no value at a start; its derivatives may be finite all the same, and mean nothing."""
    around = Surroundings(problem, x, y, 2 if problem.diagnosed is not None else batch_size)
    for role in ROLES:
        bad = ~torch.isfinite(around.value(role, x, y))
        if bool(bad.any()):
            yield f"{role} is not finite (NaN or infinite) at the start of {int(bad.sum())} of {len(bad)} runs"


def _findings(problem: Problem, x: Tensor, y: Tensor, batch_size: int | None) -> Sequence[str]:
    """Look at everything, in the order in which the mistake of one would show as another's."""
    bound = False  # to as many rows as there are
    random: list[str | None] = []
    for role in ROLES:
        sampler = problem.tasks or getattr(problem, f"sample_{role}")
        if sampler is not None:
            name = f"sample_{role}" if problem.tasks is None else "tasks"
            so, said = check_sampler(name, sampler, len(x), x)
            bound |= so
            random.append(said)
    problem.prepare(x.clone(), y.clone())
    random += [_check_projection(problem, role, start) for role, start in zip(ROLES, (x, y), strict=True)]
    size = 2 if problem.diagnosed is not None else batch_size
    around = Surroundings(problem, x, y, size)
    bound |= _check_rows(around)
    if not bound:
        around = Surroundings(problem, x[:2], y[:2], size)
    near = around.near()
    random += [_check_loss(around, role, near) for role in ROLES]
    random += [_check_own(around, name, near) for name in problem.derivatives]
    checks = DerivativeChecks(around)
    checks.check_dependence()
    checks.check_slopes()
    return [*(said for said in random if said is not None), *checks.zeros()]


def _check_projection(problem: Problem, role: str, start: Tensor) -> str | None:
    """It gives points for points, always the same, and writes into none; what is worth a warning."""
    name, variable = f"project_{role}", "x" if role == "upper" else "y"
    project = getattr(problem, name)
    if project is None:
        return None
    with naming(name, start), unwritten(name, {variable: start}):
        found = project(start)
    if not isinstance(found, Tensor) or found.shape != start.shape or found.dtype != start.dtype:
        got = f"{tuple(found.shape)} {found.dtype}" if isinstance(found, Tensor) else type(found).__name__
        raise InputError(f"{name} must return {tuple(start.shape)} {start.dtype}, as it is given; got {got}")
    outside = [start + sign * 10 * (1 + start.abs()) for sign in (1, -1)]  # where it has something to do
    for point in outside:
        with naming(name, start, "fails outside of its set,"), unwritten(name, {variable: point}):
            project(point)
    said = _check_repeats(name, lambda: project(outside[0]))
    again = project(found.clone())
    if not torch.allclose(again, found, 1e-3, 1e-3 * float(found.abs().max()), equal_nan=True):
        return f"{name} moves points that it has projected: it is no projection, and every call changes them"
    return said


def _check_rows(around: Surroundings) -> bool:
    """Rows do not mix in losses that are declared batched. Whether their constants belong to the rows there are."""
    problem, bound = around.problem, False
    for role in ROLES:
        loss = getattr(problem, role)
        if not problem.batched or hasattr(loss, "lifted"):
            continue

        def sampling(seeds: Sequence[int], role: str = role) -> Any:
            return problem.probed(role, seeds, around.x)

        try:
            said = row_by_row(loss, around.x, around.y, sampling, (2, 3), RADIUS)
        except Exception:  # on other numbers of rows than those there are, which Problem.prepare has tried
            bound = True
            said = _mixed(loss, around, sampling(range(len(around.x))))
        if said is not None:
            _check_loss(around, role, around.near())  # which would look like it
            raise InputError(
                f"{role} is declared batched, but {said}: reduce over the last dimension alone, as in .sum(-1), so "
                "that every row is a run of its own; or say batched=False if it is written for vectors"
            )
    return bound


def _mixed(loss: Callable[..., Tensor], around: Surroundings, sample: Any) -> str | None:
    """Whether a change of the first row changes another, where only so many rows can be evaluated."""
    near = around.near()
    changed = [torch.cat([line.at(0.5)[:1], line.middle[1:]]) for line in (near.x_line, near.y_line)]
    with torch.no_grad():
        before, after = loss(near.x, near.y, sample)[1:], loss(*changed, sample)[1:]
    return None if alike(before, after) else "a change of its first row changes the value of another"


def _check_loss(around: Surroundings, role: str, near: Near) -> str | None:
    """It writes into nothing, and gives one value at one point; what is worth a warning."""
    sample = around.samples[role].value
    for x, y in ((around.x, around.y), (near.x, near.y)):
        with naming(role, x), unwritten(role, {"x": x, "y": y, "sample": sample}):
            around.value(role, x, y)
    return _check_repeats(role, lambda: around.value(role, near.x, near.y))


def _check_own(around: Surroundings, name: str, near: Near) -> str | None:
    """The same of an own derivative, which keeps to the iterates' type, too."""
    own, sample = around.problem.derivatives[name], around.samples[role_of(name)].value
    given = {"x": near.x, "y": near.y} | ({"v": near.y_line.direction} if name in ("hvp", "jvp") else {})
    who = f"derivatives[{name!r}]"
    with torch.no_grad(), naming(who, near.x):
        with unwritten(who, given | {"sample": sample}):
            found = own(*given.values(), sample)
        said = _check_repeats(who, lambda: own(*given.values(), sample))
    for part in found if isinstance(found, tuple) else (found,):
        if part.dtype != near.x.dtype:
            raise InputError(
                f"{who} returns {part.dtype} where x and y are {near.x.dtype}: bring your data to it with "
                f".to(y.dtype), or say dtype={part.dtype}"
            )
    return said


def _check_repeats(who: str, ask: Callable[[], Any]) -> str | None:
    """One point and sample, one value; what is worth a warning."""
    again = repeated(ask)
    found = again.differing
    if found is not None:
        first = [f"{float(value.flatten()[0]):.6g}" for value in found if isinstance(value, Tensor)]
        raise InputError(
            f"{who} gives two values at one point and sample{': ' if first else ''}{', '.join(first)}. Randomness of "
            "its own (torch.rand, torch.randint, NumPy's, dropout in training mode) must come from the sample, so that "
            "it belongs to the seed: sample_lower=lambda draw: draw.minibatch(n), .normal(k) or .uniform(k); call "
            f".eval() on modules with dropout{SKIP}"
        )
    return again.said(who)
