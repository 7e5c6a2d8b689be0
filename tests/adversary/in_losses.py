"""Mistakes in what a user writes: losses, derivatives, metrics and projections."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adversary.problems import Written
from adversary.use import Use


def leaves_the_graph(written: Written, use: Use, rng: np.random.Generator) -> str:
    """Part of a loss is computed outside of autograd, or with a backward pass that is wrong."""
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "detach": Tensor.detach,
        "data": lambda t: t.data,
        "numpy": lambda t: torch.from_numpy(t.detach().numpy().copy()),
        "tolist": lambda t: torch.tensor(t.tolist(), dtype=t.dtype),
        "item": lambda t: torch.cat([t.detach()[..., :1] + 0 * t[..., :1], t[..., 1:]], -1),
        "no_grad": _without_gradients,
        "inference": _in_inference_mode,
        "half a backward": _HalfBackward.apply,
        "backward without graph": _FlatBackward.apply,
    }
    way = str(rng.choice(list(ways)))
    off = ways[way]
    level, variable = str(rng.choice(["upper", "lower"])), str(rng.choice(["x", "y"]))
    if written.world.vanishing and (level, variable) == ("upper", "y"):
        level = "lower"  # f sees y through a power that is flat in places
    if way == "backward without graph":
        level, variable = "lower", "y"  # a first derivative of f is all that anybody takes, and its is right
    loss, whole = getattr(written, level), bool(rng.random() < 0.5) or way == "backward without graph"

    def cut(x: Tensor, y: Tensor, *s: Any) -> Tensor:
        part = loss(off(x), y, *s) if variable == "x" else loss(x, off(y), *s)
        return part if whole else 0.5 * part + 0.5 * loss(x, y, *s)

    setattr(written, level, cut)
    return f"{level}, {variable}: {way}{'' if whole else ', half of it'}"


def _without_gradients(t: Tensor) -> Tensor:
    with torch.no_grad():
        return 1.0 * t


def _in_inference_mode(t: Tensor) -> Tensor:
    with torch.inference_mode():
        return t.clone()


class _HalfBackward(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(t: Tensor) -> Tensor:
        return t.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> Tensor:
        return 0.5 * given


class _FlatBackward(torch.autograd.Function):
    """The identity whose backward pass leaves the graph: first derivatives are right, second ones are none."""

    generate_vmap_rule = True

    @staticmethod
    def forward(t: Tensor) -> Tensor:
        return t.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> Tensor:
        return given.detach()


def own_randomness(written: Written, use: Use, rng: np.random.Generator) -> str:
    """Numbers in a loss that come from no draw."""
    level = str(rng.choice(["upper", "lower"]))
    loss = getattr(written, level)
    layer, asked = torch.nn.Dropout(0.5), [0]

    def counted() -> float:
        asked[0] += 1
        return 1 + 0.1 * (asked[0] % 7)

    ways: dict[str, Callable[..., Tensor]] = {
        "randn": lambda x, y, *s: loss(x, y, *s) + 0.3 * (torch.randn_like(y) * y).sum(-1),
        "dropout": lambda x, y, *s: loss(x, torch.nn.functional.dropout(y, 0.5), *s),
        "module in training mode": lambda x, y, *s: loss(x, layer(y), *s),
        "randint": lambda x, y, *s: loss(x, y, *s) * (1 + 0.2 * int(torch.randint(5, (1,)))),
        "NumPy's": lambda x, y, *s: loss(x, y, *s) * float(np.random.default_rng().uniform(0.5, 1.5)),
        "NumPy's old": lambda x, y, *s: loss(x, y, *s) * np.random.uniform(0.5, 1.5),  # noqa: NPY002
        "Python's": lambda x, y, *s: loss(x, y, *s) * random.uniform(0.5, 1.5),
        "a counter": lambda x, y, *s: loss(x, y, *s) * counted(),
    }
    way = str(rng.choice(list(ways)))
    setattr(written, level, ways[way])
    return f"{level}: {way}"


def writes(written: Written, use: Use, rng: np.random.Generator) -> str:
    """A callback that writes into what it is given."""
    into = {
        "add_": lambda t: t.detach().add_(0.1),
        "data": lambda t: t.data.mul_(0.9),
        "NumPy": lambda t: np.multiply(t.detach().numpy(), 0.9, out=t.detach().numpy()),
        "no_grad": _shift,
    }
    how = str(rng.choice(list(into)))
    write: Callable[[Tensor], Any] = into[how]
    who = str(rng.choice(["lower", "upper", "metrics", "grad_lower", "hvp", "jvp", "projection"]))
    which = str(rng.choice(["x", "y"]))
    if who in ("lower", "upper"):
        loss = getattr(written, who)

        def writing(x: Tensor, y: Tensor, *s: Any) -> Tensor:
            value = loss(x, y, *s)
            write(x if which == "x" else y)
            return value

        setattr(written, who, writing)
    elif who == "metrics":

        def metrics(x: Tensor, y: Tensor) -> dict[str, Tensor]:
            write(x if which == "x" else y)
            return {"hypergradient_norm": y.norm(dim=-1) * 0}

        written.options["metrics"] = metrics
    elif who == "projection":
        which = str(rng.choice(["upper", "lower"]))

        def project(t: Tensor) -> Tensor:
            write(t)
            return t

        written.options[f"project_{which}"] = project
    else:
        written.add_own()
        right = written.derivatives[who]
        which = str(rng.choice(["x", "y", "v"])) if who != "grad_lower" else which

        def derivative(*given: Any) -> Tensor:
            value = right(*given)
            write(given["xyv".index(which)])
            return value

        written.derivatives[who] = derivative
    return f"{who} writes {which} by {how}"


def _shift(t: Tensor) -> None:
    with torch.no_grad():
        t += 0.1


def own_derivative(written: Written, use: Use, rng: np.random.Generator) -> str:
    """A derivative of the user's own that is wrong."""
    written.add_own()
    name = str(rng.choice(["grad_upper", "hvp", "jvp", "grad_lower"]))
    kind = str(rng.choice(["sign", "factor", "slightly", "offset", "stale", "reversed", "one entry"]))
    right, w = written.derivatives[name], written.world
    at = [torch.as_tensor(0.7 * part + 0.2, dtype=written.dtype)[None] for part in (w.x, w.y)]
    if kind == "reversed" and (len(w.x) if name == "jvp" else len(w.y)) == 1:
        kind = "sign"  # a number reversed is itself

    def bent(part: Tensor) -> Tensor:
        if kind == "one entry":
            return torch.cat([1.5 * part[:, :1], part[:, 1:]], -1)
        return {"sign": -part, "factor": 2 * part, "slightly": 1.05 * part, "offset": part + 0.1}.get(
            kind, part.flip(1)
        )

    def wrong(x: Tensor, y: Tensor, *rest: Any) -> Any:
        if kind == "stale":  # evaluated at another point
            x, y = (t.expand_as(own) for t, own in zip(at, (x, y), strict=True))
            if name in ("hvp", "jvp"):
                return 1.1 * right(x, y, *rest)
            return right(x, y, *rest)
        value = right(x, y, *rest)
        return (value[0], bent(value[1])) if name == "grad_upper" else bent(value)

    written.derivatives[name] = wrong
    return f"{name}: {kind}"


def no_dependence(written: Written, use: Use, rng: np.random.Generator) -> str:
    """A loss that does not depend on what it must depend on."""
    kind = str(rng.choice(["f constant", "g without y", "g without x", "coupling without x"]))
    lower, upper = written.lower, written.upper
    if kind == "f constant":
        written.upper = lambda x, y, *s: upper(torch.ones_like(x), torch.ones_like(y), *s)
    elif kind == "g without y":
        written.lower = lambda x, y, *s: lower(x, torch.ones_like(y), *s)
    elif kind == "g without x":
        written.lower = lambda x, y, *s: lower(torch.ones_like(x), y, *s)
    else:
        written.lower = lambda x, y, *s: lower(torch.ones_like(x), y, *s) + (x**2).sum(-1)
    return kind


def rows_interact(written: Written, use: Use, rng: np.random.Generator) -> str:
    """A batched loss whose rows are not independent."""
    level = str(rng.choice(["upper", "lower"]))
    loss = getattr(written, level)
    ways: dict[str, Callable[..., Tensor]] = {
        "mean over rows": lambda x, y, *s: loss(x, y, *s).mean().expand(len(x)),
        "sum over rows": lambda x, y, *s: loss(x, y, *s) + 0.1 * (y**2).sum().expand(len(x)),
        "centred": lambda x, y, *s: loss(x, y, *s) + 0.5 * ((y - y.mean(0)) ** 2).sum(-1),
        "scaled by the largest": lambda x, y, *s: loss(x, y / y.abs().max().clamp_min(1e-3), *s),
        "running sum": lambda x, y, *s: loss(x, y, *s) + 0.1 * y.cumsum(0).sum(-1),
        "softmax over rows": lambda x, y, *s: loss(x, y, *s) + (torch.softmax(y, 0) * y).sum(-1),
        "the first row's": lambda x, y, *s: loss(x[:1].expand_as(x), y, *s),
        "reversed": lambda x, y, *s: loss(x, y, *s).flip(0),
    }
    way = str(rng.choice(list(ways)))
    setattr(written, level, ways[way])
    written.options["batched"] = True
    use.rows = 3
    return f"{level}: {way}"


def undeclared_vanishing(written: Written, use: Use, rng: np.random.Generator) -> str:
    """``vanishing_hessian`` left out where f_y, the Hessian and D vanish together, at a point with y_i = 0."""
    written.options["vanishing_hessian"] = False
    return "vanishing_hessian=False"


def not_numbers(written: Written, use: Use, rng: np.random.Generator) -> str:
    """Values or derivatives that are not numbers at the point, or anywhere."""
    level = str(rng.choice(["upper", "lower"]))
    loss, at = getattr(written, level), torch.as_tensor(use.y, dtype=written.dtype)
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "root of 0": lambda y: 0.1 * ((y - at) ** 2).sum(-1).sqrt(),
        "logarithm": lambda y: (y - 10.0).log().sum(-1),
        "branch not taken": lambda y: torch.where(y > -1e3, 0 * y, (-(y**2) - 1).sqrt()).sum(-1),
        "0/0": lambda y: ((y - y) / (y - y)).sum(-1),
        "data": lambda y: (y * torch.full_like(at, torch.nan)).sum(-1),
        "overflow": lambda y: (1e6 * (y + 100)).exp().sum(-1),
    }
    way = str(rng.choice(list(ways)))
    setattr(written, level, lambda x, y, *s: loss(x, y, *s) + ways[way](y))
    use.never_right, use.runs = True, way != "root of 0"  # of which a run takes its steps away
    return f"{level}: {way}"
