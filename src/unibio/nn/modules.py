"""The modules of both levels together: losses and metrics of vectors, evaluated with modules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from unibio.core.forms import failure
from unibio.errors import InputError
from unibio.nn.batch import Batch
from unibio.nn.flat import Flat
from unibio.nn.stored import Stored
from unibio.tensorfile import short_of_memory

#: What happens to buffers, and with it the mode of the modules.
BUFFERS = ("frozen", "batch", "lower_steps")


class _Both(nn.Module):
    """Both modules under one, so that one functional call replaces the parameters of both while a loss is evaluated."""

    def __init__(self, upper: nn.Module, lower: nn.Module, loss: Callable[..., Any]):
        super().__init__()
        self.upper, self.lower = upper, lower
        self.loss = loss

    def forward(self, batch: Batch) -> Any:
        return self.loss(self.upper, self.lower, batch)


class Pair:
    """The modules of both levels, and what is computed with them.

    Args:
        upper, lower: of the levels.
        buffers: one of :data:`BUFFERS`, or None where it must not matter.

    Raises:
        InputError: they share parameters or lie on two devices, or the mode matters and was not said.
    """

    def __init__(self, upper: Flat, lower: Flat, buffers: str | None):
        self.upper, self.lower = upper, lower
        places = [one.vector() for one in (upper, lower)]
        if places[0].device != places[1].device:
            raise InputError(
                f"upper lies on {places[0].device} and lower on {places[1].device}: bring both to one by .to(device)"
            )
        if buffers is not None and buffers not in BUFFERS:
            raise InputError(f"buffers must be one of {', '.join(BUFFERS)}, got {buffers!r}")
        matters = sorted(
            {type(part).__name__ for one in (upper, lower) for part in one.module.modules() if _by_mode(part)}
        )
        if buffers is None and matters:
            raise InputError(
                f"buffers must be said, because {' and '.join(matters)} depend{'s' * (len(matters) == 1)} on the mode: "
                "buffers='frozen' evaluates as after .eval(), 'batch' as after .train(), with the minibatch's "
                "statistics and with dropout, 'lower_steps' likewise, and lower steps store the statistics"
            )
        self.random = buffers in ("batch", "lower_steps")
        for one in (upper, lower):
            one.module.train(self.random)
        self._metrics = copy.deepcopy(upper.module).eval(), copy.deepcopy(lower.module).eval()
        self.stored = Stored(upper, lower) if buffers == "lower_steps" else None
        for part in (part for one in self._metrics for part in one.modules()):
            # Statistics that nobody stored say nothing.
            part.training = buffers == "batch" and isinstance(part, _NormBase)

    def loss(
        self, function: Callable[..., Any], role: str, vectorised: bool = False
    ) -> Callable[[Tensor, Tensor, Batch], Tensor]:
        """A loss of modules, (upper, lower, batch) -> scalar, as a function of vectors and one run's batch.

        Args:
            function: the loss.
            role: "upper" or "lower".
            vectorised: whether ``torch.func.vmap`` will evaluate it.
        """
        both = _Both(self.upper.module, self.lower.module, function)
        buffers = [name for name, _ in both.named_buffers()]

        def value(x: Tensor, y: Tensor, batch: Batch) -> Tensor:
            given = {f"upper.{name}": t for name, t in (self.upper.constants(x) | self.upper.tensors(x)).items()}
            given |= {f"lower.{name}": t for name, t in (self.lower.constants(y) | self.lower.tensors(y)).items()}
            given |= {name: given[name].clone() for name in buffers}  # what is written there, nobody reads
            try:
                found = functional_call(both, given, (batch,))
            except InputError:
                raise
            except RuntimeError as error:
                said = " ".join(failure(error, y).split())
                if vectorised and "vmap" in said:
                    first = said.partition(". ")[0].removeprefix("RuntimeError: ")
                    raise InputError(
                        f"{role}_loss cannot be computed for several runs at once by torch.func.vmap: leave "
                        f"vectorised=True out ({first})"
                    ) from error
                if vectorised or short_of_memory(error):
                    raise
                raise InputError(f"{role}_loss fails: {said}") from error
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                said = str(error.args[0] if error.args else error).strip().partition("\n")[0]
                raise InputError(f"{role}_loss fails: {type(error).__name__}: {said}") from error
            if not isinstance(found, Tensor) or found.numel() != 1:
                got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
                raise InputError(
                    f"{role}_loss must return a scalar tensor, and returned {got}: a mean over the batch, say"
                )
            return found.reshape(())

        return value

    def view(self, role: str, vector: Tensor, buffers: Tensor | None = None) -> nn.Module:
        """The module of a level with the parameters of a vector, (d,), and stored buffers, (b,)."""
        stored = {} if buffers is None or self.stored is None else self.stored.tensors(buffers)
        return (self.upper if role == "upper" else self.lower).built(vector, stored.get(role))

    def measure(
        self, metrics: Mapping[str, Callable[..., Any]], x: Tensor, y: Tensor, buffers: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Metrics of modules for every run: x (runs, d_x), y (runs, d_y) to (runs,) each, in float64."""
        found: dict[str, list[float]] = {name: [] for name in metrics}
        for run, point in enumerate(zip(x, y, strict=True)):
            stored = {} if buffers is None or self.stored is None else self.stored.tensors(buffers[run])
            for role, module, vector in zip(("upper", "lower"), self._metrics, point, strict=True):
                (self.upper if role == "upper" else self.lower).load(module, vector, stored.get(role))
            for name, metric in metrics.items():
                try:
                    value = metric(*self._metrics)
                except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
                    if short_of_memory(error):
                        raise
                    said = f"{type(error).__name__}: {error}".splitlines()[0]
                    kinds = " and ".join(sorted({str(p.dtype) for m in self._metrics for p in m.parameters()}))
                    raise InputError(f"metrics: {name!r} fails on modules of {kinds}: {said}") from error
                try:
                    found[name].append(float(value))
                except (TypeError, ValueError, RuntimeError):
                    raise InputError(
                        f"metrics: {name!r} must return a number for (upper, lower), and returned {_shown(value)}"
                    ) from None
        return {name: torch.tensor(values, dtype=torch.float64) for name, values in found.items()}


def _by_mode(part: nn.Module) -> bool:
    """Whether a layer does something else in training than in evaluation."""
    if isinstance(part, _NormBase):
        return part.track_running_stats
    dropping = getattr(part, "dropout", 0.0)  # of recurrent and attention layers, a probability
    return (isinstance(part, _DropoutNd) and part.p > 0) or (isinstance(dropping, float) and dropping > 0)


def _shown(value: Any) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
