"""A stand-in for an accelerator: a device of its own whose numbers the CPU computes.

Most of what goes wrong on a GPU has nothing to do with it: a tensor that stayed on the CPU meets one that did not, or
NumPy is handed one that it cannot read. Here both are errors, as on CUDA, on every machine; and because the arithmetic
is the CPU's, what is computed must be equal to the CPU's to the last bit. Kernels, their order of summation and their
memory are not tested by it: they need the real thing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "standin"
_ATEN = torch.ops.aten
_CPU = torch.device("cpu")
#: Go from one device to another.
_COPIES = {_ATEN._to_copy.default, _ATEN.copy_.default}
#: Names that some functions know a method by, with which CUDA does not.
_DRIVERS = {_ATEN.linalg_lstsq.default: ("gelsy", "gelsd", "gelss")}
#: Take their second argument, the indices, from the CPU too.
_INDEXED = {_ATEN.index.Tensor, _ATEN.index_put.default, _ATEN.index_put_.default, _ATEN._index_put_impl_.default}


class Far(Tensor):
    """A tensor on the stand-in; ``near`` holds its numbers on the CPU, and views share them."""

    near: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, near: Tensor) -> Far:
        layout = {"strides": near.stride(), "storage_offset": near.storage_offset(), "dtype": near.dtype}
        # Like a GPU's tensors it has a number, which the device that was asked for need not have.
        self = Tensor._make_wrapper_subclass(cls, near.size(), device=torch.device(NAME, 0), **layout)
        self.near = near
        return self

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _computed(func, args, kwargs or {})

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Far({self.near})"

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError(f"can't convert {NAME} tensor to numpy. Use Tensor.cpu() to copy the tensor first.")

    __array__ = numpy  # type: ignore[assignment]

    def tolist(self) -> Any:
        return self.near.tolist()

    def data_ptr(self) -> int:
        return self.near.data_ptr()

    def __reduce_ex__(self, protocol: Any) -> Any:  # checkpoints then hold plain tensors
        return self.near.__reduce_ex__(protocol)


class _Everywhere(TorchDispatchMode):
    """Also sees what has no tensor of the stand-in among its arguments: factories, and copies from the CPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _computed(func, args, kwargs or {})


def _computed(func: Any, args: tuple, kwargs: dict) -> Any:
    """An operation on the CPU's numbers, after a look at where they are said to be."""
    far: list[Far] = []
    others: list[Tensor] = []
    inside = [_near(value, far, others) for value in args]
    named = {name: _near(value, far, others) for name, value in kwargs.items()}
    if far and named.get("driver") in _DRIVERS.get(func, ()):
        raise RuntimeError(f"{func}: parameter `driver` should be gels on CUDA")
    device = named.get("device")
    if not far and device is None:
        return func(*args, **kwargs)
    if func in _INDEXED:
        others = [tensor for tensor in others if not any(tensor is index for index in args[1])]
    if far and func not in _COPIES and any(tensor.ndim for tensor in others):
        raise RuntimeError(f"{func}: expected all tensors on one device, found {NAME}:0 and cpu")
    if device is not None:
        arrives = torch.device(device).type == NAME
        named["device"] = _CPU
    else:
        arrives = func is not _ATEN.copy_.default or isinstance(args[0], Far)
    found = func(*inside, **named)
    if not arrives:
        return found
    written = {id(tensor.near): tensor for tensor in far}  # what was written into comes back as itself
    if any(tensor.shape != tensor.near.shape for tensor in far):
        raise NotImplementedError(f"{func} changes a shape in place, which the stand-in does not follow")
    return (
        tree_map(lambda leaf: _arrived(leaf, written), found)
        if isinstance(found, (list, tuple))
        else _arrived(found, written)
    )


def _arrived(leaf: Any, written: dict[int, Far]) -> Any:
    if not isinstance(leaf, Tensor):
        return leaf
    return written[id(leaf)] if id(leaf) in written else Far(leaf)


def _near(value: Any, far: list[Far], others: list[Tensor]) -> Any:
    """An argument with the CPU's tensors in place of the stand-in's; both are noted."""
    if isinstance(value, Far):
        far.append(value)
        return value.near
    if isinstance(value, Tensor):
        others.append(value)
    elif isinstance(value, (list, tuple)):
        return [_near(entry, far, others) for entry in value]
    return value


def register() -> None:
    """Make the stand-in known to torch, once a process; it cannot be undone.

    Before the first derivative of the process: autograd then starts its threads, one for every device that it knows.
    """
    if torch._C._get_privateuse1_backend_name() != NAME:
        _setup_privateuseone_for_python_backend(NAME)


@contextmanager
def present() -> Iterator[torch.device]:
    """The stand-in, there for as long as the context lasts; :func:`register` must have been called early."""
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(values, device=…) then makes them on the CPU first
    try:
        with _Everywhere():
            yield torch.device(NAME)
    finally:
        torch._C._set_only_lift_cpu_tensors(before)
