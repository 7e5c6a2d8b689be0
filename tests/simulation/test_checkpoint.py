"""Checkpoints with a right digest and a wrong content: said to be so, and a job begins again."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unibio import Example3, tensorfile
from unibio.algorithms.unibio import UniBiO
from unibio.simulation.checkpoint import ForeignCheckpoint
from unibio.simulation.settings import Settings
from unibio.simulation.simulate import simulate
from unibio.simulation.trajectories import Interrupted
from unibio.tensorfile import DamagedFile


def run(path: Path, owner: str = "") -> int:
    problem = Example3(noise=1.0).build()
    assert problem.start is not None
    x, y = (start.expand(2, -1).clone() for start in problem.start)
    settings = Settings(6, targets={"hypergradient_norm": [0.5]}, checkpoint=path, checkpoint_seconds=0.0, owner=owner)
    return simulate(problem, UniBiO(), x, y, seeds=[0, 1], settings=settings).resumed_from


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of a checkpoint after the last iteration but one."""
    path, problem = tmp_path_factory.mktemp("c") / "checkpoint", Example3(noise=1.0).build()
    assert problem.start is not None
    x, y = (start.expand(2, -1).clone() for start in problem.start)
    settings = Settings(6, targets={"hypergradient_norm": [0.5]}, checkpoint=path, checkpoint_seconds=0.0)
    done: list[int] = []
    with pytest.raises(Interrupted):
        simulate(
            problem,
            UniBiO(),
            x,
            y,
            seeds=[0, 1],
            settings=settings,
            progress=done.append,
            should_stop=lambda: len(done) == 5,
        )
    found = tensorfile.load(path)
    assert found is not None
    return found


def places(content: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Of everything in it."""
    here = [at] if at else []
    if isinstance(content, dict):
        return here + [place for key, value in content.items() for place in places(value, (*at, key))]
    return here


WRONG = st.sampled_from([None, "text", 3.5, -1, [], [3], {}, {"a": 1}, torch.zeros(3), torch.zeros(2, 1), True])


@given(st.data(), WRONG)
def test_anything_in_any_place_is_a_damaged_checkpoint_or_goes_on(
    content: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, wrong: Any
) -> None:
    """Never another error. (What fits its place in kind and size cannot be told from what was written.)"""
    changed = copy.deepcopy(content)
    *above, last = data.draw(st.sampled_from(places(content)))
    inner = changed
    for key in above:
        inner = inner[key]
    if data.draw(st.booleans()):
        inner[last] = wrong
    else:
        del inner[last]
    path = tmp_path_factory.mktemp("c") / "checkpoint"
    tensorfile.save(path, changed)
    with contextlib.suppress(DamagedFile, ForeignCheckpoint):
        assert run(path) == changed["iteration"]


def test_it_goes_on_where_it_is_whole(content: dict[str, Any], tmp_path: Path) -> None:
    tensorfile.save(tmp_path / "c", content)
    assert run(tmp_path / "c") == 5
    with pytest.raises(ForeignCheckpoint, match="belongs to other runs"):
        run(tmp_path / "c", owner="another")


@pytest.mark.parametrize("what", [b"", b"PK", b"{}", torch.zeros(3), [1], "text"], ids=range(6))
def test_a_file_of_something_else_is_damaged(tmp_path: Path, what: Any) -> None:
    if not isinstance(what, bytes):
        buffer = io.BytesIO()
        torch.save(what, buffer)
        what = buffer.getvalue()
    path = tmp_path / "c"
    path.write_bytes(hashlib.sha256(what).digest() + what)
    with pytest.raises(DamagedFile):
        run(path)
