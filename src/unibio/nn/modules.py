"""Modules as vectors: their parameters in a row, and modules again with the parameters of a row."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from unibio.errors import InputError
from unibio.nn.batch import Batch

#: What happens to buffers, and with it the mode of the modules.
BUFFERS = ("frozen", "batch")


class Flat:
    """A module whose trainable parameters are a vector, in the order of ``named_parameters``.

    The module is copied; the caller's is never written into. Parameters that require no gradient stay as they are.

    Args:
        module: the module.
        role: "upper" or "lower".

    Raises:
        InputError: it is no module, has no trainable or uninitialised parameters, lies on two devices, or mixes types.
    """

    def __init__(self, module: Any, role: str):
        if not isinstance(module, nn.Module):
            what = f"the class {module.__name__}" if isinstance(module, type) else f"a {type(module).__name__}"
            raise InputError(f"{role} must be an nn.Module, got {what}")
        who = f"{role} ({type(module).__name__})"
        tensors = dict(module.named_parameters()) | dict(module.named_buffers())
        if any(nn.parameter.is_lazy(t) for t in tensors.values()):
            raise InputError(f"{who} has parameters without a shape: call it once on a batch, and they have one")
        self.names = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
        if not self.names:
            raise InputError(f"{who} has no parameters that require gradients: there is nothing to learn on this level")
        devices = sorted({str(t.device) for t in tensors.values()})
        if len(devices) > 1:
            raise InputError(f"{who} lies on {' and '.join(devices)}: bring all of it to one device by .to(device)")
        types = sorted({str(tensors[name].dtype) for name in self.names})
        if len(types) > 1 or not tensors[self.names[0]].is_floating_point():
            raise InputError(
                f"{who} has parameters of {' and '.join(types)}: give it one real floating type by .to(dtype)"
            )
        try:
            self.module = copy.deepcopy(module).requires_grad_(requires_grad=False)
        except (RuntimeError, TypeError) as error:
            raise InputError(f"{who} cannot be copied: {str(error).strip().splitlines()[0]}") from error
        self.module.zero_grad(set_to_none=True)
        self.trainable = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
        self.training = {name: part.training for name, part in module.named_modules()}
        self.shapes = [tensors[name].shape for name in self.names]
        self.sizes = [shape.numel() for shape in self.shapes]
        self._held: dict[tuple[torch.dtype, torch.device], dict[str, Tensor]] = {}

    def vector(self) -> Tensor:
        """The parameters, (d,)."""
        parameters = dict(self.module.named_parameters())
        return torch.cat([parameters[name].detach().reshape(-1) for name in self.names])

    def tensors(self, vector: Tensor) -> dict[str, Tensor]:
        """A vector's parameters by their names, as views."""
        parts = vector.split(self.sizes)
        return {name: part.view(shape) for name, part, shape in zip(self.names, parts, self.shapes, strict=True)}

    def constants(self, like: Tensor) -> dict[str, Tensor]:
        """Buffers and parameters that stay, of a vector's type and on its device."""
        key = (like.dtype, like.device)
        if key not in self._held:
            rest = {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}
            self._held[key] = {
                name: (t.to(like.device, like.dtype) if t.is_floating_point() else t.to(like.device)).detach()
                for name, t in rest.items()
                if name not in self.names
            }
        return self._held[key]

    def load(self, module: nn.Module, vector: Tensor) -> None:
        """Give a copy of the module the parameters of a vector, and the buffers that the module has."""
        with torch.no_grad():
            kept = {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}
            new = {**kept, **self.tensors(vector)}
            for name, tensor in {**dict(module.named_parameters()), **dict(module.named_buffers())}.items():
                tensor.copy_(new[name])

    def built(self, vector: Tensor) -> nn.Module:
        """A module with the parameters of a vector; its type, device and mode are those of the caller's module."""
        module = copy.deepcopy(self.module)
        self.load(module, vector)
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(self.trainable[name])
        for name, part in module.named_modules():
            part.training = self.training[name]
        return module


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
                f"buffers must be said, because {', '.join(matters)} depends on the mode: buffers='frozen' evaluates "
                "as after .eval(), 'batch' as after .train(), with the minibatch's statistics and with dropout"
            )
        self.random = buffers == "batch"
        for one in (upper, lower):
            one.module.train(self.random)
        self._metrics = copy.deepcopy(upper.module).eval(), copy.deepcopy(lower.module).eval()
        for part in (part for one in self._metrics for part in one.modules()):
            part.training = self.random and isinstance(part, _NormBase)  # statistics that nobody stored say nothing

    def loss(self, function: Callable[..., Any], role: str) -> Callable[[Tensor, Tensor, Batch], Tensor]:
        """A loss of modules, (upper, lower, batch) -> scalar, as a function of vectors and one run's batch."""
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
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                said = str(error.args[0] if error.args else error).strip().splitlines()[:1]
                raise InputError(f"{role}_loss fails: {type(error).__name__}: {''.join(said)}") from error
            if not isinstance(found, Tensor) or found.numel() != 1:
                got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
                raise InputError(
                    f"{role}_loss must return a scalar tensor, and returned {got}: a mean over the batch, say"
                )
            return found.reshape(())

        return value

    def view(self, role: str, vector: Tensor) -> nn.Module:
        """The module of a level with the parameters of a vector, (d,)."""
        return (self.upper if role == "upper" else self.lower).built(vector)

    def measure(self, metrics: Mapping[str, Callable[..., Any]], x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Metrics of modules for every run: x (runs, d_x), y (runs, d_y) to (runs,) each, in float64."""
        found: dict[str, list[float]] = {name: [] for name in metrics}
        for one, other in zip(x, y, strict=True):
            for flat, module, vector in zip((self.upper, self.lower), self._metrics, (one, other), strict=True):
                flat.load(module, vector)
            for name, metric in metrics.items():
                value = metric(*self._metrics)
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
