"""What is handed to a user's callbacks, and what samplers hand over: nobody writes into it, and rows are runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from unibio.core.forms import failure
from unibio.core.losses import Sample, leaves, map_sample
from unibio.core.problem import Sampler
from unibio.core.streams import Draw, Streams
from unibio.errors import InputError

#: Seeds of three runs; two of them are asked for alone, too, and in another order.
_SEEDS = (7, 5, 6)
#: How often a callback is asked for the same again: as a rule, and where it uses one of the process's generators.
_REPEATS, _RANDOM_REPEATS = 2, 30


class unwritten:  # noqa: N801, a context manager that is entered at every iteration
    """Refuse a callback that writes into what it is given.

    Args:
        who: the callback.
        given: tensors, or samples, by what they are called.
        compare: also compare the numbers, which tells of what autograd does not count: NumPy's writes, and ``.data``.

    Raises:
        InputError: it does.
    """

    def __init__(self, who: str, given: Mapping[str, Any], compare: bool = True):
        self._who = who
        found: list[tuple[str, Tensor]] = []
        for key, part in given.items():
            parts = [(key, part)] if isinstance(part, Tensor) else leaves(part, key)
            found += [(name, t) for name, t in parts if isinstance(t, Tensor)]
        self._before = [(name, t, t._version, t.detach().clone() if compare else None) for name, t in found]

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is not None:
            return
        for name, t, version, copy in self._before:
            if t._version != version or (copy is not None and not equal(t.detach(), copy)):
                raise InputError(
                    f"{self._who} must not write into {name}, which others read after it: write y.clamp(...) for "
                    "y.clamp_(...), y = y + 1 for y += 1, or into a .clone()"
                )


def equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same numbers; NaN is NaN."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return bool(((one == other) | ((one != one) & (other != other))).all())


def alike(one: Sample, other: Sample) -> bool:
    """Whether two samples, or values, are one up to the order of summation, which no GPU keeps."""
    pairs = zip(leaves(one), leaves(other), strict=False)
    for (name, a), (place, b) in pairs:
        if name != place or isinstance(a, Tensor) != isinstance(b, Tensor):
            return False
        if isinstance(a, Tensor):
            if a.shape != b.shape:
                return False
            if not a.dtype.is_floating_point:
                if not torch.equal(a, b):
                    return False
                continue
            near = torch.finfo(a.dtype).eps ** 0.75
            size = float(a.detach().nan_to_num(0, 0, 0).abs().max()) if a.numel() else 0.0
            if not torch.allclose(a, b, near, near * size, equal_nan=True):
                return False
    return True


class Repeated(NamedTuple):
    """What came of asking one question often.

    Attributes:
        differing: two different answers; None where all are alike.
        random: whether all are alike although one of the process's generators was used for every one.
    """

    differing: tuple[Any, Any] | None
    random: bool

    def said(self, who: str) -> str | None:
        """What is to be said of the latter, for a callback of that name."""
        if not self.random:
            return None
        return (
            f"{who} uses a generator of the process (PyTorch's, NumPy's or Python's), though {_RANDOM_REPEATS} "
            "evaluations at one point are alike: should it ever matter, numbers will not belong to the seed; call "
            ".eval() on modules with dropout, and draw randomness from the sample"
        )


def repeated(ask: Callable[[], Any]) -> Repeated:
    """Ask a question again.

    Args:
        ask: for it. A minibatch of two points, or dropout of one unit, is often the same twice: where one of the
            process's generators was used, it is asked often.
    """
    before = _generators()
    first = copied(ask())
    used = (after := _generators()) != before
    for _ in range(_RANDOM_REPEATS if used else _REPEATS):
        before, other = after, ask()
        if not alike(first, other):
            return Repeated((first, other), False)
        used = used and (after := _generators()) != before
    return Repeated(None, used)


def copied(sample: Sample) -> Sample:
    """A sample with copies of its tensors."""
    return map_sample(lambda leaf: leaf.detach().clone() if isinstance(leaf, Tensor) else leaf, sample)


def _generators() -> tuple[Any, ...]:
    """Where the process's generators are in their sequences."""
    numpy: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else torch.empty(0)
    places = [torch.get_rng_state().numpy().tobytes(), cuda.numpy().tobytes(), numpy["state"]["key"].tobytes()]
    return (*places, numpy["state"]["pos"], random.getstate())


def check_axes(name: str, sample: Sample, runs: int) -> None:
    """Hold a sample to tensors whose first axis is that of the runs.

    Raises:
        InputError: a tensor is not such; something else holds tensors or numbers, so that nobody can tell.
    """
    for place, leaf in leaves(sample):
        if isinstance(leaf, Tensor):
            if leaf.layout != torch.strided:
                raise InputError(f"{name}: {place} is a {str(leaf.layout)[6:]} tensor; return .to_dense() of it")
            if leaf.ndim and len(leaf) == runs:
                continue
            raise InputError(
                f"{name}: {place} has shape {tuple(leaf.shape)} for {runs} runs, and a sample's tensors have the runs "
                "as their first axis. Return t.expand(draw.runs, *t.shape) for a tensor t that all runs share, such as "
                "a DataLoader's minibatch; or give every run its own rows of the data by draw.minibatch(n); a constant "
                "that differs between runs has one row for each"
            )
        if isinstance(leaf, np.ndarray) or hasattr(leaf, "__dataframe__") or hasattr(leaf, "iloc"):
            raise InputError(f"{name}: {place} is a {type(leaf).__name__}; return torch.as_tensor(...) of it")
        if isinstance(leaf, Iterator) or _holds_tensor(leaf):
            raise InputError(
                f"{name}: {place} is a {type(leaf).__name__}, whose tensors cannot be told apart by runs; return a "
                "tensor, or a tuple, list, dict or dataclass of tensors"
            )


def _holds_tensor(leaf: Any, depth: int = 3) -> bool:
    """Whether a tensor is somewhere in an object that is none of a sample's own forms; modules share theirs."""
    if isinstance(leaf, (Tensor, np.ndarray)):
        return True
    if not depth or isinstance(leaf, (type, str, bytes, torch.nn.Module, Draw)):
        return False
    held: list[Any] = list(vars(leaf).values()) if hasattr(leaf, "__dict__") else []
    slots = [name for kind in type(leaf).__mro__ for name in getattr(kind, "__slots__", ())]
    held += [getattr(leaf, name, None) for name in slots if isinstance(name, str)]
    if isinstance(leaf, partial):
        held += [*leaf.args, *leaf.keywords.values()]
    held += [cell.cell_contents for cell in getattr(leaf, "__closure__", None) or () if _filled(cell)]
    if isinstance(leaf, Mapping):
        held += leaf.values()
    elif isinstance(leaf, Collection):
        held += leaf
    return any(_holds_tensor(part, depth - 1) for part in held)


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def check_sampler(name: str, sampler: Sampler, runs: int, like: Tensor) -> tuple[bool, str | None]:
    """Hold a sampler to samples that have the runs as first axis and are functions of the draw alone.

    Args:
        name: "sample_upper" or "sample_lower".
        sampler: of a problem.
        runs: there are; constants of a sampler may belong to so many.
        like: an iterate.

    Returns:
        Whether it works for as many runs as there are alone; what is worth a warning.

    Raises:
        InputError: it hands over anything else.
    """

    def draw(seeds: Sequence[int], index: int = 0) -> Draw:
        return Draw(Streams(seeds, like.device, like.dtype), "probe", index, 2)

    def sampled(seeds: Sequence[int]) -> Sample:
        return sampler(draw(seeds))

    two: tuple[int, ...] = _SEEDS[1::-1]
    bound = False
    try:
        three, pair = sampled(_SEEDS), sampled(two)
    except Exception:  # said below, if it fails for the runs there are as well
        two, bound = tuple(range(runs)), True
        try:
            check_axes(name, sampled(two), runs)
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{name} fails on {runs} runs: {failure(error, like)}") from error
    else:
        check_axes(name, pair, 2)
        check_axes(name, three, 3)
    again = repeated(lambda: sampled(two))
    if again.differing is not None:
        raise InputError(
            f"{name} is no function of its draw: the same draw gave two samples. Randomness of its own (torch.rand, "
            "torch.randint, NumPy's, an iterator over a DataLoader) must come from the draw: draw.normal(k), "
            "draw.uniform(k), draw.integers(n), draw.minibatch(n)"
        )
    _check_kept(name, sampler, draw(two), draw(two, 1))
    if not bound:
        _check_companions(name, pair, three)
    return bound, again.said(name)


def _check_companions(name: str, pair: Sample, three: Sample) -> None:
    """A run's sample must not depend on the others of its batch: the pair is the other's second and first row."""
    swapped = map_sample(lambda leaf: leaf[[1, 0]] if isinstance(leaf, Tensor) else leaf, three)
    shapes = [[leaf.shape for _, leaf in leaves(one) if isinstance(leaf, Tensor)] for one in (pair, swapped)]
    if shapes[0] == shapes[1] and not alike(pair, swapped):
        raise InputError(
            f"{name} gives a run other numbers beside other runs: take them from the draw, whose rows belong to the "
            "runs' seeds: draw.normal(k), draw.uniform(k), draw.minibatch(n)"
        )


def _check_kept(name: str, sampler: Sampler, draw: Draw, following: Draw) -> None:
    """A sampler leaves the draw's numbers and its earlier samples as they are."""
    first = sampler(draw)
    kept = copied(first)
    if not alike(sampler(draw), kept):
        raise InputError(
            f"{name} must not write into the draw's numbers, which others read: write 0.1 * draw.normal(k) for "
            "draw.normal(k).mul_(0.1)"
        )
    sampler(following)
    if not alike(first, kept):
        raise InputError(
            f"{name} must not write the next sample into the tensor of the last one, which may still be needed: return "
            "a new tensor for every draw"
        )
