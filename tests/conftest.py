"""Settings of the whole test session."""

from __future__ import annotations

import torch
from hypothesis import settings

# Small tensors: a second thread only costs. One thread also makes runs repeat bit for bit.
torch.set_num_threads(1)

# Derandomised: a failure seen once is seen always, and continuous integration does not fail by chance.
settings.register_profile("unibio", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("unibio")
