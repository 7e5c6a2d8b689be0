"""Runs that are watched and stopped: a bar, Ctrl-C as a question, and whose a checkpoint is."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from unibio.core.algorithm import Algorithm
from unibio.core.parameters import Configured
from unibio.core.probe import prepare
from unibio.core.problem import Problem, ProblemSpec
from unibio.core.surroundings import ROLES, Surroundings
from unibio.errors import InputError
from unibio.simulation.settings import Settings

#: Who watches: a function of the number of finished iterations, True for a bar, None or False for nobody.
Progress = Callable[[int], None] | bool | None
#: Digits of a loss that tell a problem from another; fewer than rounding on another device changes.
_DIGITS = 4


@contextmanager
def watched(progress: Progress, steps: int | None) -> Iterator[Callable[[int], None] | None]:
    """What to call with the number of finished iterations.

    Args:
        progress: as ``solve`` was told.
        steps: at most; None where something else ends the run.

    Raises:
        InputError: it is neither a function nor True, False or None.
    """
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise InputError(f"progress must be True for a bar, or a function of an iteration's number, got {progress!r}")
    if progress is not True:
        yield progress or None
        return
    with tqdm(total=steps, unit="it") as bar:
        yield lambda finished: bar.update(finished - bar.n) and None


@contextmanager
def interruptible(should_stop: Callable[[], bool] | None) -> Iterator[Callable[[], bool]]:
    """The question "has someone asked us to stop?", which Ctrl-C answers with yes as well.

    A second Ctrl-C raises KeyboardInterrupt at once. Where Ctrl-C means something else to this process already, and
    outside the main thread, it is left alone.

    Args:
        should_stop: a caller's own.

    Raises:
        InputError: it is no function.
    """
    if should_stop is not None and not callable(should_stop):
        raise InputError(f"should_stop must be a function without arguments, got {should_stop!r}")
    asked = False

    def handler(number: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: asked or (should_stop is not None and bool(should_stop()))
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def checkpoint_path(given: Any) -> Path | None:
    """The file of a checkpoint.

    Raises:
        InputError: it is no path, a folder, or in one that is not there or cannot be written.
    """
    if given is None:
        return None
    if not isinstance(given, (str, os.PathLike)) or not str(given):
        raise InputError(f"checkpoint must be the path of a file, got {given!r}")
    path = Path(given)
    if path.is_dir():
        raise InputError(f"checkpoint: {path} is a folder; name a file in it, such as {path / 'run.pt'}")
    if not path.parent.is_dir():
        raise InputError(f"checkpoint: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"checkpoint: the folder {path.parent} cannot be written into")
    return path


def owner_of(
    given: Problem | ProblemSpec,
    problem: Problem,
    algorithm: Algorithm,
    settings: Settings,
    x: Tensor,
    y: Tensor,
    more: Mapping[str, Any],
) -> dict[str, str]:
    """What a checkpoint belongs to, part by part, so that a call that asks for something else is told what differs.

    Functions cannot be compared; a problem is known by what its losses are at its start and beside it, on one sample.

    Args:
        given, problem: as ``solve`` was told, and built.
        algorithm: with the values that all runs share.
        settings: of the run.
        x, y: the starts, (k, d_x) and (k, d_y).
        more: further arguments that decide numbers.
    """
    owner = {"problem": repr(given.name), "losses near the start": _fingerprint(problem, algorithm, settings, x, y)}
    if isinstance(given, ProblemSpec):
        owner |= _parameters(given) | {"data": repr(given.fingerprint())}
    owner |= {"algorithm": type(algorithm).__qualname__} | _parameters(algorithm)
    owner["x0 and y0"] = _digest((x, y))
    for name in ("steps", "budget", "epochs", "log_points", "targets"):
        owner[name] = repr(getattr(settings, name))
    return owner | {name: repr(value) for name, value in more.items()}


def _parameters(spec: Configured) -> dict[str, str]:
    """A spec's fields by name."""
    found = ((f"{spec.role}.{f.name}", getattr(spec, f.name)) for f in dataclasses.fields(spec))
    return {name: _digest([value]) if isinstance(value, Tensor) else repr(value) for name, value in found}


def _digest(tensors: Sequence[Tensor]) -> str:
    numbers = hashlib.sha256()
    for one in tensors:
        numbers.update(f"{tuple(one.shape)}".encode() + one.detach().cpu().double().contiguous().numpy().tobytes())
    return numbers.hexdigest()


def _fingerprint(problem: Problem, algorithm: Algorithm, settings: Settings, x: Tensor, y: Tensor) -> str:
    """Both losses at the first start and beside it."""
    batch_size = getattr(algorithm, "batch_size", None)
    x, y = x[:1], y[:1]
    prepare(problem, x, y, batch_size=batch_size, check=settings.check)
    around = Surroundings(problem, x.clone(), y.clone(), 2 if problem.diagnosed is not None else batch_size)
    near = around.near()
    with torch.no_grad():
        values = [around.value(role, *point) for role in ROLES for point in ((x, y), (near.x, near.y))]
    return " ".join(f"{float(value):.{_DIGITS}g}" for value in values)
