"""Minibatches of both levels of a task, for libraries that take loaders: a tensor's rows at once, with their places."""

from __future__ import annotations

import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from model_tasks import Settings, Task


def loaders(task: Task, s: Settings) -> tuple[DataLoader, DataLoader]:
    """Of the lower and of the upper level, shuffled anew in every epoch."""
    found = []
    for data in (task.train, task.valid):
        placed = TensorDataset(*data.tensors, torch.arange(len(data)))
        batches = BatchSampler(RandomSampler(placed), s.batch, drop_last=False)
        found.append(DataLoader(placed, sampler=batches, batch_size=None))
    return found[0], found[1]
