"""Modules as vectors: their parameters in a row, and modules again with the parameters of a row."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from unibio.errors import InputError


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
        if devices == ["meta"]:
            raise InputError(f"{who} lies on meta, where parameters have no numbers: make it on a device, or .to_empty")
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

    def load(self, module: nn.Module, vector: Tensor, buffers: Mapping[str, Tensor] | None = None) -> None:
        """Give a copy of the module the parameters of a vector, and buffers: those that the module has, or these."""
        with torch.no_grad():
            kept = {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}
            new = {**kept, **self.tensors(vector), **(buffers or {})}
            for name, tensor in {**dict(module.named_parameters()), **dict(module.named_buffers())}.items():
                tensor.copy_(new[name])

    def built(self, vector: Tensor, buffers: Mapping[str, Tensor] | None = None) -> nn.Module:
        """A module with the parameters of a vector; its type, device and mode are those of the caller's module."""
        module = copy.deepcopy(self.module)
        self.load(module, vector, buffers)
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(self.trainable[name])
        for name, part in module.named_modules():
            part.training = self.training[name]
        return module
