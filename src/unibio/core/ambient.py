"""What surrounds a computation in PyTorch: set so that a number is the same whoever asks for it, and wherever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

import torch

_lock = Lock()
_outside: torch.dtype | None = None  # the default type before the first computation that runs now
_inside: list[tuple[object, torch.dtype]] = []  # the computations that run now, in the order of their beginnings


@contextmanager
def clean(dtype: torch.dtype, device: torch.device | str) -> Iterator[None]:
    """Autocasting and inference mode are off, gradients are on, tensors are made on the CPU and of the run's type.

    What was set before is set again at the end. The default type belongs to the whole process: to give it back as it
    was, also where several threads compute at once, those that compute are kept in a list.

    Args:
        dtype: of the iterates; a loss's ``torch.tensor(0.1)`` is then as exact as they are.
        device: theirs, whose autocasting is turned off with the CPU's and CUDA's.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in {"cpu", "cuda", torch.device(device).type}:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":  # asked first, because every call would pass through it
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(_default_type(dtype))
        yield


@contextmanager
def _default_type(dtype: torch.dtype) -> Iterator[None]:
    global _outside  # noqa: PLW0603
    token = object()
    with _lock:
        if not _inside:
            _outside = torch.get_default_dtype()
        _inside.append((token, dtype))
        torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        with _lock:
            _inside[:] = [one for one in _inside if one[0] is not token]
            assert _outside is not None
            torch.set_default_dtype(_inside[-1][1] if _inside else _outside)
