"""Terminals of any encoding, and what comes from records as text and nothing else."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unibio.cli import terminal
from unibio.cli.main import main
from unibio.cli.terminal import plain
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import run_job
from unibio.store import heartbeat, lists, records
from unibio.store.records import Record


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """Records of a small grid, at two steps."""
    root = tmp_path_factory.mktemp("runs")
    words = ["steps=4", "tracker=none", "problem.noise=1", "+grid.seed={count: 3}", f"records={root}"]
    with composer() as compose_one:
        jobs = expand([*words, "algorithm.upper_step=0.03,0.1"], compose_one)
    found = [run_job(job).record for job in jobs]
    lists.write_manifest(root, "mine", [record.name for record in found], "python -m unibio")
    return found


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
@pytest.mark.slow
def test_every_command_that_looks_works_in_a_terminal_that_is_not_utf8(
    two: list[Record], encoding: str, tmp_path: Path
) -> None:
    """One process for all of them: what they print ends up in its encoding, and nothing in a traceback."""
    root = str(two[0].path.parent)
    commands = [
        ["status", "--verify", "--records", root],
        ["show", two[0].name, "--records", root],
        ["show", two[0].name, two[1].name, "--records", root],
        ["list"],
        ["list", "unibio"],
        ["show", "λ", "--records", root],
        ["report", "--records", root, "--out", str(tmp_path)],
        ["--help"],
    ]
    code = (
        "import sys\nfrom unibio.cli.main import main\n"
        f"for command in {json.dumps(commands)}:\n"
        "    try: main(command)\n"
        "    except SystemExit as end: print(command, end.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", code],
        env=os.environ | {"PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        timeout=300,
        check=False,
    )
    said = done.stdout.decode(encoding)
    assert done.returncode == 0, done.stderr.decode(encoding)
    assert b"Traceback" not in done.stderr
    assert "2 of 2 records are what was written" in said
    assert "eta: normalised upper-level step" in said or "η" in said
    assert "unknown record" in done.stderr.decode(encoding)
    assert (tmp_path / "index.html").is_file()


def test_what_an_encoding_lacks_is_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    terminal.prepare()
    print("‖∇φ‖ ≤ 10 × η − Δ… │ 漢 é \ud800")
    sys.stdout.flush()
    assert written.getvalue().decode() == "||grad phi|| <= 10 x eta - Delta... | \\u6f22 e \\ud800\n"


@given(st.text(st.characters(exclude_categories=[]), max_size=30))
def test_any_text_can_be_printed_on_one_line_and_is_obeyed_by_no_terminal(text: str) -> None:
    written = io.BytesIO()
    for encoding in ("ascii", "utf-8", "latin-1"):
        stream = io.TextIOWrapper(written, encoding=encoding, newline="")
        terminal.prepare(stream)
        stream.write(plain(text))
        stream.flush()
        stream.detach()
    assert plain(text).isprintable()
    assert not set(written.getvalue()) & {*range(32), 127}


#: What means something to rich, to a terminal, to a shell or to a format string.
NAMES = ["[red]x[/red]", "[/]", "[link=file:///etc]a[/link]", ":smile:", "\x1b[2J\x1b]0;title\x07", "a\nb", "{0}", "%s"]
NAMES += ["\u202e"]  # from here on from right to left


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_and_reasons_are_never_read_as_markup(
    two: list[Record], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the table of sweeps, of running jobs and of those that failed; in warnings and settings of a record."""
    root = two[0].path.parent
    experiments = root / ".experiments"
    failed, running = (root / f"example3-p4-unibio-T{k}-0123456789a{k}" for k in range(2))
    try:
        for path in (failed, running):
            path.mkdir()
        listed = json.dumps({"command": "c", "records": [failed.name]})
        (experiments / f"{name.replace('/', '∕')}.json").write_text(listed)
        (failed / "summary.json").write_text(json.dumps({"status": "failed", "traceback": f"Error: {name}"}))
        beat = {"pid": 1, "birth": None, "host": f"{name}", "began": 0, "updated": 1e12}
        (running / heartbeat.FILE).write_text(json.dumps(beat))
        summary = dict(two[0].summary) | {"warnings": [name], "command": [name], "git": {"commit": name}}
        config = dict(two[0].config) | {"seed": two[0].config["seed"]}
        kept = {file.name: file.read_bytes() for file in two[0].path.iterdir()}
        records.write(two[0].path, config, summary, two[0].history, two[0].runs)
        main(["status", "--records", str(root)])
        main(["show", two[0].name, "--records", str(root)])
        main(["clean", "--yes", "--records", str(root)])
        said = capsys.readouterr().out
        assert not {character for character in said if not character.isprintable()} - {"\n"}
        once = plain(name).split()[0]
        assert said.count(once) >= 5, said
    finally:
        for file, content in kept.items():
            (two[0].path / file).write_bytes(content)
        for path in (*experiments.iterdir(), running / heartbeat.FILE):
            if path.name != "mine.json":
                path.unlink(missing_ok=True)
        running.rmdir()
    assert not failed.exists()
