"""Files of tensors: what goes wrong while one is written is told as it is."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import pytest
import torch

from unibio import tensorfile


@pytest.mark.parametrize("room", [100, 4096, 30_000])
def test_a_disk_that_fills_up_is_said_to_be_full(room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch goes on to end its archive after a write that failed, and would tell of the archive."""

    class Full(io.BytesIO):
        def write(self, data: bytes) -> int:  # type: ignore[override]
            if self.tell() + len(data) > room:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    monkeypatch.setattr(Path, "open", lambda *_: Full())
    with pytest.raises(OSError, match="No space left on device"):
        tensorfile.save(tmp_path / "checkpoint.pt", {"x": torch.zeros(10_000)})


def test_what_was_written_is_read(tmp_path: Path) -> None:
    tensorfile.save(tmp_path / "checkpoint.pt", {"x": torch.arange(3), "k": 2})
    found = tensorfile.load(tmp_path / "checkpoint.pt")
    assert found is not None
    assert (found["x"].tolist(), found["k"]) == ([0, 1, 2], 2)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
