"""What each command loads: nobody waits for torch, Hydra or pandas who asks for nothing that needs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import run_job

ONE = "problem=example3 algorithm=unibio steps=3 tracker=none progress=false"
HEAVY = {"torch", "numba", "hydra", "omegaconf", "pandas", "matplotlib", "wandb", "scipy", "sklearn"}

#: Which of the heavy packages commands may load, RECORD standing for a record's name.
MAY: dict[tuple[str, ...], set[str]] = {
    (
        "",
        "--help",
        "--version",
        "list",
        "list unibio",
        "list problems",
        "list experiments",
        "run --help",
        "run --version",
        "status",
        "status --verify",
        "clean --yes",
    ): set(),
    ("show RECORD",): {"pandas"},
    (f"run {ONE}", "run --cfg job"): {"hydra", "omegaconf"},
    (f"sweep {ONE} seed=1,2",): {"hydra", "omegaconf", "pandas"},  # it compares the histories of seeds
}

#: Runs commands in one interpreter, and says after each what it has loaded.
_PROGRAM = """
import sys
from unibio.cli.main import main
for command in sys.argv[1:]:
    try:
        main(command.split())
    except SystemExit as end:
        assert not end.code
    print("LOADED", *sorted({name.split(".")[0] for name in sys.modules}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the record of one job, and with those of two seeds."""
    folder = tmp_path_factory.mktemp("startup")
    with composer() as compose_one:
        for words in (ONE, f"{ONE} seed=1,2"):
            for job in expand([*words.split(), f"records={folder / 'runs'}"], compose_one):
                run_job(job)
    return folder


def loaded(folder: Path, *commands: str) -> list[tuple[str, set[str]]]:
    """What each of some commands prints, and the heavy packages that have been loaded by then."""
    command = [sys.executable, "-c", _PROGRAM, *commands]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *parts, _ = done.stdout.split("LOADED")
    rests = done.stdout.split("LOADED")[1:]
    first = [parts[0], *(part.partition("\n")[2] for part in parts[1:])]
    return [(text, HEAVY & set(rest.partition("\n")[0].split())) for text, rest in zip(first, rests, strict=True)]


@pytest.mark.parametrize("commands", MAY, ids=lambda commands: commands[-1].split(" problem")[0])
@pytest.mark.slow
def test_commands_load_what_they_need(commands: tuple[str, ...], folder: Path) -> None:
    (record,) = [
        path.name for path in (folder / "runs").glob("*-*") if "\nseed: 0" in (path / "config.yaml").read_text()
    ]
    asked = [command.replace("RECORD", record) for command in commands]
    for command, (text, names) in zip(asked, loaded(folder, *asked), strict=True):
        assert text, command
        assert names <= MAY[commands], command
        if command == f"run {ONE}":
            first, second, *_ = text.splitlines()
            assert first.startswith("unibio: 1 job, 1 already recorded")
            assert record in second
            assert "already recorded" in second


@pytest.mark.slow
def test_a_job_to_compute_loads_torch(folder: Path) -> None:
    """Or the test above would see nothing."""
    ((text, names),) = loaded(folder, f"run {ONE} seed=7")
    assert "computed in" in text
    assert {"torch", "pandas", "hydra"} <= names
