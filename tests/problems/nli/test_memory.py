"""The bound on the network's memory: its terms against counted bytes, and what is left on machines of several kinds."""

from __future__ import annotations

import dataclasses
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from unibio import memory
from unibio.algorithms.bome import BOME
from unibio.algorithms.stocbio import StocBiO
from unibio.algorithms.vrbo import VRBO
from unibio.errors import InputError
from unibio.memory import available
from unibio.problems.nli import memory as nli_memory
from unibio.problems.nli.memory import check, estimate, largest_batch
from unibio.problems.nli.packing import Different, Packing, Words
from unibio.problems.nli.pair_rnn import Architecture, At, Pairs

PREMISE, HYPOTHESIS = 14, 8


class Counted(TorchDispatchMode):
    """Adds up the bytes of tensors on the meta device, which has shapes and no memory; also their most at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._of: dict[int, int] = {}  # storage of a tensor
        self._users: dict[int, int] = {}  # tensors of a storage

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "meta" and id(tensor) not in self._of:
                storage = tensor.untyped_storage()
                self._of[id(tensor)] = key = storage._cdata
                if not self._users.get(key):
                    self.now += storage.nbytes()
                    self.peak = max(self.peak, self.now)
                self._users[key] = self._users.get(key, 0) + 1
                weakref.finalize(tensor, self._gone, id(tensor), storage.nbytes())
        return found

    def _gone(self, tensor: int, size: int) -> None:
        key = self._of.pop(tensor)
        self._users[key] -= 1
        self.now -= size if not self._users[key] else 0


def bytes_of(net: Architecture, pairs: int) -> tuple[int, int]:
    """All derivatives on a minibatch: the most bytes at any time, and those that are kept after a gradient."""
    device = torch.device("meta")
    lengths = np.array([PREMISE] * pairs + [HYPOTHESIS] * pairs)
    with Counted() as counted:
        packing = Packing.of(lengths, lengths.cumsum() - lengths, device)
        words = Words.of(Different.of(np.arange(lengths.sum()) % 700, 700), torch.empty(700, 300, device=device))
        flat, direction = (torch.empty(net.size, device=device) for _ in range(2))
        at = At(net, flat, Pairs(words, packing, torch.zeros(pairs, dtype=torch.int64, device=device)))
        weights = torch.empty(pairs, device=device)
        assert at.logits.shape == (pairs, 3)
        assert at.gradient(weights).shape == (net.size,)
        kept = counted.now
        assert at.tangent(direction).shape == (pairs,)
        assert at.hvp(weights, direction).shape == (net.size,)
    return counted.peak, kept


def test_states_are_estimated_at_full_size_as_they_are_counted() -> None:
    """4096 units: a product on one level's minibatch and what the other level's keeps grow with the pairs like this."""
    net = Architecture(300, 4096)
    (peak, kept), (more_peak, more_kept) = bytes_of(net, 128), bytes_of(net, 256)
    counted = more_peak - peak + more_kept - kept
    tokens = PREMISE + HYPOTHESIS
    estimated = estimate(net, tokens, 4, 256) - estimate(net, tokens, 4, 128)
    assert 0.9 < estimated / counted < 1.1
    assert peak + kept < estimate(net, tokens, 4, 128)
    assert peak > 6 * 4 * net.size, "and the weights, a direction and a product are among the bytes"


def test_the_estimate_grows_with_what_it_depends_on() -> None:
    net = Architecture(300, 512)
    base = estimate(net, 22, 4, 128)
    assert estimate(net, 22, 8, 128) == 2 * base
    assert estimate(net, 22, 4, 128, runs=3) - base == 2 * nli_memory.VECTORS * 4 * net.size
    assert estimate(net, 44, 4, 128) == estimate(net, 22, 4, 256)
    assert estimate(net, 22, 4) == estimate(net, 22, 4, nli_memory.BATCH)


def test_the_largest_minibatch_is_that_of_the_method() -> None:
    points = 9000
    assert largest_batch(StocBiO(batch_size=512), points) == 512
    assert largest_batch(StocBiO(batch_size=8), points) == 128, "on which its steps are checked"
    assert largest_batch(StocBiO(), points) == points, "null is everything"
    assert largest_batch(VRBO(batch_size=128, checkpoint_batch_size=256), points) == 256
    assert largest_batch(VRBO(batch_size=128), points) == points
    assert largest_batch(BOME(batch_size=200), points) == 200
    assert largest_batch(object(), points) == 128
    assert largest_batch(StocBiO(batch_size=512), 36) == 36


def test_a_network_is_refused_from_the_first_byte_on_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    net, device = Architecture(300, 64), torch.device("cpu")
    monkeypatch.setattr(nli_memory, "available", lambda device: 1e9)
    check(net, 1e9, device)
    with pytest.raises(InputError, match=r"problem.width = 64 needs about 0.931 GiB for its 32,387 weights"):
        check(net, 1e9 + 1, device)


# What is left ---------------------------------------------------------------------------------------------------------


def test_this_machine_has_some_memory_left_and_less_than_it_has() -> None:
    assert available(torch.device("cpu")) > 0
    if Path("/proc/meminfo").exists():
        total = float(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]) * 1024
        assert available(torch.device("cpu")) < total


def test_cuda_counts_what_pytorch_keeps_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 70)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 30)
    assert available(torch.device("cuda:0")) == 140


def group(path: Path, version: int, limit: str, used: int, droppable: int) -> None:
    """The files of a control group."""
    path.mkdir(parents=True, exist_ok=True)
    first = version == 1
    (path / ("memory.limit_in_bytes" if first else "memory.max")).write_text(limit + "\n")
    (path / ("memory.usage_in_bytes" if first else "memory.current")).write_text(f"{used}\n")
    name = "total_inactive_file" if first else "inactive_file"
    (path / "memory.stat").write_text(f"anon 5\n{name} {droppable}\n")


@dataclasses.dataclass
class Machine:
    """A machine with a million bytes left, and control groups below a directory."""

    root: Path
    monkeypatch: pytest.MonkeyPatch

    def left(self, own: str) -> float:
        """What is left to a process of these groups."""
        (self.root / "cgroup").write_text(own)
        (self.root / "meminfo").write_text("MemTotal: 9999 kB\nMemAvailable:    1000 kB\n")
        of_machine, of_groups = memory._of_machine, memory._of_groups
        with self.monkeypatch.context() as patch:
            patch.setattr(memory, "_of_machine", lambda path: of_machine(self.root / "meminfo"))
            where = (self.root / "cgroup", self.root / "v2", self.root / "v1")
            patch.setattr(memory, "_of_groups", lambda *paths: of_groups(*where))
            return available(torch.device("cpu"))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_without_limits_the_machine_decides(machine: Machine) -> None:
    assert machine.left("") == 1000 * 1024
    assert machine.left("0::/here\n5:memory:/there\n") == 1000 * 1024
    group(machine.root / "v2" / "here", 2, "max", 10, 0)
    assert machine.left("0::/here\n") == 1000 * 1024


def test_every_group_around_a_process_limits_it(machine: Machine) -> None:
    """As on a cluster: the job's group may have room where the user's, above it, has less."""
    group(machine.root / "v2" / "user" / "job", 2, "90000", 30000, 4000)
    assert machine.left("0::/user/job\n") == 64000
    group(machine.root / "v2" / "user", 2, "70000", 50000, 1000)
    assert machine.left("0::/user/job\n") == 21000
    assert machine.left("0::/another/job\n") == 1000 * 1024


@pytest.mark.parametrize("own", ["4:memory:/of/the/host\n", "9:cpu,memory:/\n"])
def test_version_1_and_a_container_that_sees_its_root_only(machine: Machine, own: str) -> None:
    group(machine.root / "v1", 1, "50000", 20000, 500)
    assert machine.left(own) == 30500
    assert machine.left("4:memoryless:/\n") == 1000 * 1024
    group(machine.root / "v1", 1, "9223372036854771712", 20000, 500)  # how version 1 writes no limit
    assert machine.left(own) == 1000 * 1024
