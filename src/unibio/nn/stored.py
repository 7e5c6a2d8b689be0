"""Buffers that lower steps store: running statistics of modules as a vector, and what a step makes of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unibio.core.buffers import Buffers
from unibio.errors import InputError
from unibio.nn.batch import Batch, seeded
from unibio.nn.flat import Flat


class Stored:
    """The buffers of both modules in a row of float64, which holds float32 and counts exactly.

    Args:
        upper, lower: of the levels, in training mode.

    Raises:
        InputError: a buffer is complex.
    """

    def __init__(self, upper: Flat, lower: Flat):
        self._flats = {"upper": upper, "lower": lower}
        found = [(role, *one) for role, flat in self._flats.items() for one in flat.module.named_buffers()]
        for role, name, buffer in found:
            if buffer.is_complex():
                raise InputError(f"{role} has a complex buffer, {name}, which buffers='lower_steps' cannot store")
        self._places = [(role, name, buffer.shape) for role, name, buffer in found]
        self._sizes = [shape.numel() for _, _, shape in self._places]
        self.start = self._row({role: dict(flat.module.named_buffers()) for role, flat in self._flats.items()})

    def tensors(self, row: Tensor) -> dict[str, dict[str, Tensor]]:
        """A row (b,) as buffers by level and name, in float64: whoever copies them brings them to their own type."""
        found: dict[str, dict[str, Tensor]] = {role: {} for role in self._flats}
        for (role, name, shape), part in zip(self._places, row.split(self._sizes), strict=True):
            found[role][name] = part.view(shape)
        return found

    def _row(self, buffers: dict[str, dict[str, Tensor]]) -> Tensor:
        parts = [buffers[role][name].detach().double().reshape(-1) for role, name, _ in self._places]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)

    def stepping(self, loss: Callable[..., Tensor]) -> Buffers:
        """What a lower step does to the buffers: what a forward pass of the lower loss in training mode does to them.

        Args:
            loss: (upper, lower, batch) -> scalar.
        """
        walking: dict[tuple[torch.dtype, torch.device], tuple[nn.Module, nn.Module]] = {}

        @torch.no_grad()
        def stepped(x: Tensor, y: Tensor, batch: Batch, buffers: Tensor) -> Tensor:
            if (y.dtype, y.device) not in walking:
                walking[y.dtype, y.device] = self.copies(y)
            pair = walking[y.dtype, y.device]
            rows = []
            for run in range(len(y)):
                one = batch.of_run(run)
                self.evaluate(loss, pair, (x[run], y[run]), one, buffers[run])
                rows.append(
                    self._row({role: dict(m.named_buffers()) for role, m in zip(self._flats, pair, strict=True)})
                )
            return torch.stack(rows) if rows else buffers

        return Buffers(self.start, stepped)

    def copies(self, like: Tensor) -> tuple[nn.Module, nn.Module]:
        """Both modules again, of a vector's type and on its device."""
        first, second = (copy.deepcopy(flat.module).to(like.device, like.dtype) for flat in self._flats.values())
        return first, second

    def evaluate(
        self,
        loss: Callable[..., Tensor],
        pair: tuple[nn.Module, nn.Module],
        point: tuple[Tensor, Tensor],
        batch: Batch,
        buffers: Tensor,
    ) -> Any:
        """A loss at one run's point with buffers (b,), which the modules of ``pair`` then have changed."""
        for (role, flat), module, vector in zip(self._flats.items(), pair, point, strict=True):
            flat.load(module, vector, self.tensors(buffers)[role])
        with seeded(batch.seed, point[1].device):
            return loss(*pair, batch)

    def check_unread(self, losses: dict[str, Callable[..., Tensor]], samples: dict[str, Batch]) -> None:
        """Refuse losses that read in training mode what lower steps store: they would be others at every step.

        Args:
            losses: by level.
            samples: of one run, by level.

        Raises:
            InputError: naming the buffers that change.
        """
        like = self._flats["lower"].vector()
        point, pair = (self._flats["upper"].vector(), like), self.copies(like)
        with torch.no_grad():
            batch = samples["lower"].of_run(0)
            self.evaluate(losses["lower"], pair, point, batch, self.start)
            after = self._row({role: dict(m.named_buffers()) for role, m in zip(self._flats, pair, strict=True)})
            for role, loss in losses.items():
                batch = samples[role].of_run(0)
                values = [self.evaluate(loss, pair, point, batch, buffers) for buffers in (self.start, after)]
                if not torch.equal(*values):
                    changed = [
                        f"{level}.{name}"
                        for (level, name, _), old, new in zip(
                            self._places, self.start.split(self._sizes), after.split(self._sizes), strict=True
                        )
                        if not torch.equal(old, new)
                    ]
                    raise InputError(
                        f"buffers='lower_steps': {role}_loss reads in training mode what lower steps store "
                        f"({', '.join(changed[:3])}), so that it would be another loss at every step: take 'batch' or "
                        "'frozen'"
                    )
