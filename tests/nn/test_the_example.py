"""What the documentation promises, word for word, with a logger of the test's own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import TensorDataset

EXAMPLE = """
from unibio import solve
from unibio.nn import module_problem, Adam, SGD, cosine

problem = module_problem(
    upper=Weights(len(train)), lower=net,            # nn.Modules, started from their parameters; dtype and device follow
    lower_loss=lambda w, net, b: (w(b.index) * ce(net(b.x), b.y, reduction="none")).mean(),
    upper_loss=lambda w, net, b: ce(net(b.x), b.y),
    lower_data=train, upper_data=valid,              # map-style Datasets, indexed by the Draw
    metrics={"accuracy": accuracy(test)},            # (upper, lower) -> number
)
result = solve(problem, "stocbio", steps=500, batch_size=100, seed=0,
               upper_update=Adam(1e-3), lower_update=SGD(0.1, schedule=cosine(500)),
               checkpoint="run.pt", on_log=lambda row: wandb.log(row))   # returning False stops
net.load_state_dict(result.lower.state_dict())
"""  # noqa: E501


class Weights(nn.Module):
    def __init__(self, count: int):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(count))

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.logits[index])


def accuracy(data: TensorDataset) -> Any:
    return lambda w, net: (net(data.tensors[0]).argmax(-1) == data.tensors[1]).float().mean()


def test_the_example_runs_stops_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(260, 5, generator=generator)
    train, valid, test = (TensorDataset(part, (part[:, 0] > 0).long()) for part in x.split([120, 110, 30]))
    torch.manual_seed(0)
    rows: list[Any] = []

    def log(row: Any) -> bool:
        rows.append(row)
        return row["iteration"] not in (4, 6)

    names = {"Weights": Weights, "accuracy": accuracy, "ce": F.cross_entropy, "net": nn.Linear(5, 2)}
    names |= {"train": train, "valid": valid, "test": test, "wandb": SimpleNamespace(log=log)}
    with pytest.warns(UserWarning, match="interrupted at iteration 4; the same call goes on from run.pt"):
        exec(EXAMPLE, names)
    assert names["result"].status == "interrupted"
    assert rows[-1]["accuracy"] == names["result"].history["accuracy"].iloc[-1]
    torch.testing.assert_close(names["net"].weight.detach().reshape(-1), names["result"].y[:10])
    torch.manual_seed(0)
    names["net"] = nn.Linear(5, 2)  # a new process begins where the first one did
    with pytest.warns(UserWarning, match="interrupted at iteration 6"):
        exec(EXAMPLE, names)
    assert [row["iteration"] for row in rows] == [0, 1, 2, 3, 4, 5, 6]
