"""The picture of a dashboard: what it shows is what wandb logged, and that is what the records say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from given import given
from unibio.pipeline import tracking
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.local import finish_job
from unibio.pipeline.tracking import curves, run_id
from unibio.store.records import Record

ROOT = Path(__file__).parents[1]


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import dashboard

    return dashboard


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Record], dict[str, Path]]:
    """Records of two methods with two noise levels each, and {id: file} of wandb's."""
    root = tmp_path_factory.mktemp("logged")
    words = given(f"records={root}", "steps=30", "tracker=offline", "+grid.problem.noise=[0.3,1]")
    tracking._failed.clear()
    with pytest.MonkeyPatch.context() as patched, composer() as compose_one:
        for name in ("WANDB_MODE", "WANDB_DISABLED", "WANDB_DIR"):
            patched.delenv(name, raising=False)
        found = [finish_job(job).record for job in expand([*words, "algorithm=unibio,soba"], compose_one)]
    return found, {file.stem.removeprefix("run-"): file for file in root.glob("wandb/offline-run-*/*.wandb")}


@pytest.mark.slow
def test_what_is_read_is_what_was_recorded(dashboard: Any, logged: tuple[list[Record], dict[str, Path]]) -> None:
    records, files = logged
    for record in records:
        for curve in curves(record, most=8):
            run = dashboard.read(files[run_id(record.name, curve)])
            assert run.kind == record.config["algorithm"]["name"]
            assert run.config["σ² (noise)"] == curve.values["noise"]
            table = run.rows.set_index("iteration")[["oracle_calls", dashboard.METRIC]]
            pd.testing.assert_frame_equal(
                table, curve.table[list(table)], check_names=False, check_index_type=False, check_dtype=False
            )
            assert run.summary[dashboard.RATE] == pytest.approx(tracking.slopes(curve.table)[dashboard.METRIC])


def test_a_group_is_the_mean_between_the_lowest_and_the_highest_run(dashboard: Any) -> None:
    x = np.array([0.0, 1.0, 10.0, 100.0])
    runs = [
        dashboard.Run("a run", "single", kind, {"p (exponent)": 4, "σ² (noise)": noise},
                      {dashboard.METRIC: level, dashboard.RATE: -level, "diverged": 0},
                      pd.DataFrame({"oracle_calls": x, dashboard.METRIC: np.full(4, level)}))
        for kind, noise, level in (("unibio", 0.3, 1.0), ("unibio", 1.0, 3.0), ("soba", 0.3, 8.0))
    ]  # fmt: skip
    panel, below = dashboard.drawn(runs).axes
    assert panel.get_title() == "p (exponent) = 4"
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["unibio (of 2)", "soba (of 1)"]
    assert [set(line.get_ydata()) for line in panel.lines] == [{2.0}, {8.0}]
    edges = panel.collections[0].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == (1.0, 3.0)
    (table,) = below.tables
    cells = {place: cell.get_text().get_text() for place, cell in table.get_celld().items()}
    lines = [[cells[row, column] for column in range(5)] for row in range(4)]
    assert lines[0] == ["job_type", "σ² (noise)", dashboard.METRIC, dashboard.RATE, "diverged"]
    assert [line[3] for line in lines[1:]] == ["-8.000", "-3.000", "-1.000"]
    assert [line[0] for line in lines[1:]] == ["soba", "unibio", "unibio"]


@pytest.mark.slow
def test_the_command_draws_a_directory_of_records(logged: tuple[list[Record], dict[str, Path]], tmp_path: Path) -> None:
    records, _ = logged
    command = [sys.executable, str(ROOT / "scripts" / "dashboard.py"), str(tmp_path / "groups.png"), "--records"]
    subprocess.run([*command, str(records[0].path.parent)], check=True, capture_output=True)
    with Image.open(tmp_path / "groups.png") as picture:
        assert len(picture.getcolors(1 << 20)) > 20, "lines and letters in colours"
    done = subprocess.run([*command, str(tmp_path)], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--records DIR" in done.stderr
