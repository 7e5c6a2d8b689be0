"""The second notebook: a model, a method and a sweep of one's own, in step with its script, executed and small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "notebooks" / "own.py"
NOTEBOOK = SCRIPT.with_suffix(".ipynb")


def read(path: Path) -> Any:
    jupytext = pytest.importorskip("jupytext", reason="the notebook is compared with its script by jupytext")
    return jupytext.read(path)


@pytest.mark.slow
def test_the_script_runs_from_nothing(tmp_path: Path) -> None:
    pytest.importorskip("IPython", reason="it shows tables by IPython")
    kept = {name: value for name, value in os.environ.items() if name != "UNIBIO_PLUGINS" and "WANDB" not in name}
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        cwd=tmp_path,
        env=kept | {"MPLBACKEND": "Agg", "PYTHONPATH": os.pathsep.join(p for p in paths if p)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "3 records of 3 runs each" in done.stdout
    assert "0 jobs failed; 3 curves" in done.stdout
    assert not list(tmp_path.iterdir()), "it leaves nothing behind"


def test_the_notebook_is_the_script() -> None:
    cells = [[(cell.cell_type, cell.source) for cell in read(path).cells] for path in (SCRIPT, NOTEBOOK)]
    assert cells[0] == cells[1], "notebooks/own.ipynb is out of step; its first cell says how to make it again"


def test_the_notebook_is_stored_executed_and_small() -> None:
    assert NOTEBOOK.stat().st_size < 400_000
    code = [cell for cell in read(NOTEBOOK).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    for output in outputs:
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output
        shown = output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
        assert str(ROOT) not in shown
        assert "/tmp" not in shown
