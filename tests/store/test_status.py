"""``unibio status``, ``show``, ``rerun`` and ``clean`` on real records, without a terminal."""

from __future__ import annotations

import json
import math
import os
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from given import given
from unibio.cli.main import main
from unibio.errors import InputError
from unibio.pipeline.composing import composer, expand
from unibio.pipeline.compute import run_job
from unibio.pipeline.job import Job
from unibio.store import heartbeat, lists, records, status
from unibio.store.show import curves, differences, find_record, picture


def jobs_of(root: Path, *overrides: str) -> list[Job]:
    with composer() as compose_one:
        return expand(given(f"records={root}", "tracker=none", "steps=12", *overrides), compose_one)


def directory(job: Job) -> Path:
    return job.root / records.record_name(job.config)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> list[Job]:
    """Six jobs of a sweep: two done, one running, one failed, one whose process is gone, one to do."""
    root = tmp_path_factory.mktemp("runs")
    jobs = jobs_of(root, "seed=0,1,2,3,4,5", "+grid.problem.noise=[0,1]")
    for job in jobs[:2]:
        run_job(job)
    for job in jobs[2:5]:
        directory(job).mkdir()
    beat = heartbeat.Heartbeat(directory(jobs[2]), steps=12)
    beat.iteration = 3
    beat._write()
    summary = {"status": "failed", "traceback": "Traceback\nMemoryError: no luck"}
    records.write_unfinished(directory(jobs[3]), jobs[3].config, summary)
    gone = json.loads((directory(jobs[2]) / heartbeat.FILE).read_text()) | {"birth": 1}
    (directory(jobs[4]) / heartbeat.FILE).write_text(json.dumps(gone))
    names = [records.record_name(job.config) for job in jobs]
    lists.write_manifest(root, "mine", names, "python -m unibio -m seed=0,1,2,3,4,5")
    return jobs


def test_every_state_is_told_apart(swept: list[Job]) -> None:
    (sweep,) = status.sweeps(swept[0].root)
    assert [job.state for job in sweep.jobs] == ["done", "done", "running", "failed", "interrupted", "to do"]
    assert sweep.name == "mine"
    assert sweep.jobs[3].reason == "MemoryError: no luck"
    assert not sweep.jobs[0].stale


def test_the_time_left_follows_from_the_pace(swept: list[Job]) -> None:
    """One of three quarters left of a job that has taken 6 s for 3 of 12 iterations, and two whole ones to come."""
    (sweep,) = status.sweeps(swept[0].root)
    running = sweep.jobs[2]
    assert running.beat is not None
    now = running.beat["began"] + 6
    assert running.remaining(now) == pytest.approx(18)
    mean = np.mean([job.summary["seconds"] for job in sweep.jobs[:2]])
    assert sweep.eta(now) == pytest.approx(18 + 2 * mean)
    assert status.Sweep("idle", "", sweep.jobs[:2]).eta(now) is None


def test_status_prints_counts_progress_and_reasons(swept: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    main(["status", "--records", str(swept[0].root)])
    said = capsys.readouterr().out
    row = next(line for line in said.splitlines() if "mine" in line)
    assert [cell.strip() for cell in row.split("│")[2:7]] == ["2", "1", "1", "1", "1"]
    assert "MemoryError: no luck" in said
    assert "is gone" in said
    assert "12" in next(line for line in said.splitlines() if directory(swept[2]).name in line)
    with pytest.raises(SystemExit):
        main(["status", "yours", "--records", str(swept[0].root)])
    assert "there are: mine" in capsys.readouterr().err


def test_status_verifies_to_the_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (job,) = jobs_of(tmp_path)
    run_job(job)
    main(["status", "--verify", "--records", str(tmp_path)])
    assert "1 of 1 records are what was written" in capsys.readouterr().out
    path = directory(job) / "history.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SystemExit, match="1"):
        main(["status", "--verify", "--records", str(tmp_path)])
    assert f"{path.parent.name}: damaged: its files are not what was written" in capsys.readouterr().out


def test_status_verifies_that_a_record_is_the_one_of_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (job,) = jobs_of(tmp_path)
    other = run_job(job).record.path.rename(tmp_path / f"{job.name[:-4]}beef")
    with pytest.raises(SystemExit, match="1"):
        main(["status", "--verify", "--records", str(tmp_path)])
    said = capsys.readouterr().out
    assert "0 of 1 records are what was written" in said
    assert f"{other.name}: another record: its configuration is that of {job.name}" in said
    with pytest.raises(SystemExit):
        main(["rerun", other.name, "--records", str(tmp_path)])
    assert f"holds the configuration of {job.name}, not of this record" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["show", other.name, "--records", str(tmp_path)])
    assert "is another record" in capsys.readouterr().err


def test_status_over_a_thousand_jobs_takes_less_than_five_seconds(tmp_path: Path) -> None:
    (job,) = jobs_of(tmp_path)
    record = run_job(job).record
    names = [f"example3-{index:04}" for index in range(1000)]
    for name in names:
        (tmp_path / name).mkdir()
        for file in ("summary.json", "done"):
            (tmp_path / name / file).write_bytes((record.path / file).read_bytes())
    lists.write_manifest(tmp_path, "large", names, "python -m unibio")
    began = time.process_time()  # and not the clock: other processes may have it
    large = next(sweep for sweep in status.sweeps(tmp_path) if sweep.name == "large")
    assert (large.count("done"), sum(state.stale for state in large.jobs)) == (1000, 0)
    assert time.process_time() - began < 5


def test_show_gives_summary_settings_and_curve(swept: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    root, name = swept[0].root, directory(swept[0]).name
    main(["show", name.rsplit("-", 1)[1], "--records", str(root), "--metric", "hypergradient_norm"])
    said = capsys.readouterr().out
    assert name in said
    assert "algorithm.upper_step" in said
    assert "hypergradient_norm (median over seeds)" in said
    assert "noise=1" in said
    with pytest.raises(SystemExit):
        main(["show", name, "--records", str(root), "--metric", "hypergradient_nrm"])
    assert "Did you mean 'hypergradient_norm" in capsys.readouterr().err


def test_show_compares_two_and_exports_the_medians(
    swept: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (find_record(job.root, directory(job).name) for job in swept[:2])
    assert differences(first, second) == [("seed", 0, 1)]
    file = tmp_path / "out" / "curves.csv"
    main(["show", first.name, second.name, "--records", str(first.path.parent), "--csv", str(file)])
    said = capsys.readouterr().out
    assert "2 runs in both; 1 of them equal to the bit" in said, "without noise the seed makes no difference"
    table = said[said.index("norm A") :]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines()[2:4]]
    ends = [[float(history[(history["noise"] == noise) & (history["iteration"] == 12)]["hypergradient_norm"].item())
             for history in (first.history, second.history)] for noise in (0, 1)]  # fmt: skip
    assert [row[0] for row in rows] == ["0", "1"]
    for row, (a, b) in zip(rows, ends, strict=True):
        assert row[-3:] == [f"{a:.6g}", f"{b:.6g}", f"{b / a:.4g}"]
    table = pd.read_csv(file)
    assert list(table.columns[:3]) == ["record", "noise", "iteration"]
    assert len(table) == len(curves(first)) + len(curves(second))
    mine = table[(table["record"] == second.name) & (table["noise"] == 1) & (table["iteration"] == 12)]
    history = second.history[(second.history["noise"] == 1) & (second.history["iteration"] == 12)]
    assert float(mine["hypergradient_norm"].item()) == history["hypergradient_norm"].median()


def test_an_undefined_metric_is_no_smaller_than_others(swept: list[Job]) -> None:
    """Of two values and a NaN the median is the larger one; of one and two NaNs it is none."""
    record = find_record(swept[0].root, directory(swept[0]).name)
    three = pd.concat([record.history.assign(run=run, hypergradient_norm=value)
                       for run, value in enumerate([1.0, 2.0, math.nan])])  # fmt: skip
    vars(record)["history"] = three
    assert set(curves(record)["hypergradient_norm"]) == {2.0}
    vars(record)["history"] = three.assign(hypergradient_norm=three["hypergradient_norm"].where(three["run"] == 0))
    assert curves(record)["hypergradient_norm"].isna().all()


@pytest.mark.parametrize(("index", "says"), [(2, "running"), (3, "failed MemoryError"), (4, "interrupted its process")])
def test_what_is_not_complete_is_not_shown(swept: list[Job], index: int, says: str) -> None:
    with pytest.raises(InputError, match=f"not complete: {says}"):
        find_record(swept[0].root, directory(swept[index]).name)


def test_names_that_fit_none_or_several_are_refused(swept: list[Job]) -> None:
    with pytest.raises(InputError, match="fits 5 records"):
        find_record(swept[0].root, "example3")
    with pytest.raises(InputError, match="unknown record"):
        find_record(swept[0].root, "exampel")


def test_a_picture_puts_extremes_where_they_belong() -> None:
    x = np.array([0.0, 1.0, 10.0, 100.0])
    lines = picture({"a": (x, np.array([100.0, 10.0, 1.0, 0.1])), "b": (x, np.full(4, np.nan))}, 20, 7).splitlines()
    assert lines[0].startswith("100 │•")
    assert lines[6].strip().startswith("0.1 │")
    assert lines[6].endswith("•")
    assert lines[6].index("•") == len("0.1 │") + 19
    assert lines[2].index("•") == 5 + round(np.log1p(1) / np.log1p(100) * 19), "10 is a third of the way down"
    assert lines[8].endswith("100")
    assert picture({"a": (x, np.full(4, np.inf))}) == "(no finite values)"
    assert "-1 │" in picture({"a": (x, np.array([0.0, 1.0, -1.0, 0.5]))}), "a linear scale where signs differ"


def test_rerun_computes_a_record_again_from_what_it_stores(
    swept: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = directory(swept[0]).name
    stored = tmp_path / "stored" / name / "config.yaml"
    stored.parent.mkdir(parents=True)
    config = yaml.safe_load((directory(swept[0]) / "config.yaml").read_text())
    stored.write_text(yaml.safe_dump(config | {"launcher": {"name": "one that is no more"}}))  # where it ran then
    main(["rerun", name, "--records", str(tmp_path / "stored"), "--into", str(tmp_path)])
    assert capsys.readouterr().out == f"{tmp_path / name}: computed\n"
    again, before = find_record(tmp_path, name), find_record(swept[0].root, name)
    pd.testing.assert_frame_equal(
        again.history.drop(columns="seconds"), before.history.drop(columns="seconds"), check_exact=True
    )
    with pytest.raises(SystemExit):
        main(["rerun", "nothing", "--records", str(tmp_path)])
    assert "nothing/config.yaml is not there" in capsys.readouterr().err


def test_clean_removes_unfinished_runs_only_after_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done, failed, cut = jobs_of(tmp_path, "seed=0,1,2")
    run_job(done)
    records.write_unfinished(directory(failed), failed.config, {"status": "failed", "traceback": "E"})
    records.write_unfinished(directory(cut), cut.config, {"status": "interrupted"})
    words = ["clean", "--records", str(tmp_path)]
    with pytest.raises(SystemExit):
        main(words)
    assert "add --yes" in capsys.readouterr().err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    main(words)
    assert directory(failed).is_dir()
    main([*words, "--failed", "--yes"])
    assert (directory(failed).is_dir(), directory(cut).is_dir()) == (False, True)
    monkeypatch.setattr("builtins.input", lambda question: "y")
    main(words)
    assert not directory(cut).is_dir()
    assert directory(done).is_dir()
    main(words)
    assert "nothing to remove" in capsys.readouterr().out


def test_clean_touches_only_what_is_a_jobs_by_its_content(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not folders of other programs, not links, not files of others in a job's directory, not a record under a name."""
    home, runs = tmp_path / "home", tmp_path / "runs"
    done, failed, shared = jobs_of(runs, "seed=0,1,2")
    renamed = run_job(done).record.path.rename(runs / f"{done.name[:-4]}beef")
    for job in (failed, shared):
        records.write_unfinished(job.path, job.config, {"status": "failed", "traceback": "E"})
    (shared.path / "notes.txt").write_text("precious")
    strangers = ["thesis", "src", "a-0123456789ab", ".git"]
    for name in strangers:
        (runs / name).mkdir()
        (runs / name / "chapter1.tex").write_text("precious")
    home.mkdir()
    (home / "summary.json").write_text('{"status": "failed"}')
    link = runs / "example3-p4-unibio-T3-0123456789ab"
    link.symlink_to(home)
    killed = runs / "example3-p4-unibio-T3-0123456789ac"
    killed.mkdir()
    (killed / "checkpoint-0a1b2c3d4e5f.pt").write_text("")
    main(["clean", "--yes", "--records", str(runs)])
    said = capsys.readouterr().out
    assert "2 runs removed" in said
    assert f"{shared.name}: kept, because of what is not the run's: notes.txt" in said
    assert not failed.path.exists()
    assert not killed.exists()
    assert [file.name for file in shared.path.iterdir()] == ["notes.txt"]
    assert all((runs / name / "chapter1.tex").read_text() == "precious" for name in strangers)
    assert link.is_symlink()
    assert (home / "summary.json").is_file()
    assert (renamed / "history.parquet").is_file()
    main(["status", "--records", str(runs)])
    assert not any(name in capsys.readouterr().out for name in ("thesis", "src"))


def test_a_finished_record_with_a_sign_of_life_that_stopped_is_finished(tmp_path: Path) -> None:
    (job,) = jobs_of(tmp_path)
    record = run_job(job).record
    gone = {"pid": 2**22 + 1, "birth": 1, "host": socket.gethostname(), "began": 0.0, "updated": 1.0}
    for beat in (gone, gone | {"host": "another"}, gone | {"pid": os.getpid()}):
        (record.path / heartbeat.FILE).write_text(json.dumps(beat))
        assert status.state_of(record.path).state == "done"
        assert status.unfinished(tmp_path) == []
    (record.path / "done").unlink()
    assert status.state_of(record.path).state == "interrupted"
