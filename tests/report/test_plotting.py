"""Curves of anybody's runs: which runs are one line, what tells lines apart, and that nothing unlike is averaged."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import synthetic
from unibio.cli.main import main
from unibio.errors import InputError
from unibio.report.lines import best_of, key_of, lines, of_record, of_result, varying
from unibio.report.plotting import Wanted, drawn, plot
from unibio.studies.common import methods, style
from wording import check_message


def flat(level: float):
    return lambda cell, seed, t: np.full(len(t), level + seed)


def records(**more: object) -> list:
    """Two methods and two exponents, with two noise levels and three seeds each."""
    found = []
    for name, level in (("unibio", 1.0), ("mine", 5.0)):
        for p in (2, 4):
            one = synthetic.record(p, axes={"noise": [0.0, 1.0]}, norm=flat(level * p), **more)
            one.config["algorithm"]["name"] = name
            found.append(one)
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same on disk, as a sweep called tried; the second half of it again as another."""
    folder = tmp_path_factory.mktemp("records")
    found = records()
    for one in found:
        one.name = synthetic.records.record_name(one.config)
    synthetic.write_study(folder, {"tried": found, "again": found[2:]})
    return folder


def test_runs_that_differ_in_their_seed_alone_are_one_line() -> None:
    sources = [of_record(one) for one in records()]
    found = lines(sources, "oracle_calls", "hypergradient_norm")
    assert len(found) == 8
    assert {line.values.shape[0] for line in found} == {3}
    assert sorted(varying(found)) == ["algorithm", "algorithm.upper_step", "problem.exponent", "problem.noise"]
    assert sorted(line.end for line in found) == [3, 3, 5, 5, 11, 11, 21, 21], "the middle one of three seeds"


def test_seeds_that_are_jobs_of_their_own_are_one_line_too() -> None:
    jobs = [synthetic.record(2, seeds=1, norm=flat(level)) for level in (1.0, 3.0, 2.0)]
    for seed, one in enumerate(jobs):
        one.config["seed"], one.config["grid"] = seed, {}
        one.runs, one.history = one.runs.drop(columns="seed"), one.history.drop(columns="seed")
    (line,) = lines([of_record(one) for one in jobs], "iteration", "hypergradient_norm")
    assert line.end == 2.0
    assert line.values.shape[0] == 3


def test_a_diverged_run_is_worst_from_where_it_stopped_and_a_finished_one_stays() -> None:
    one = synthetic.record(2, norm=flat(1.0), status=lambda cell, seed: "diverged" if seed == 2 else "completed")
    (line,) = lines([of_record(one)], "iteration", "hypergradient_norm")
    assert line.diverged == 1
    late = line.iterations >= 200
    assert np.isinf(line.values[2, late]).all()
    assert (line.values[2, ~late] == 3).all()
    short = one.history.drop(one.history[(one.history["run"] == 0) & (one.history["iteration"] > 100)].index)
    ended = SimpleNamespace(history=short, runs=one.runs.assign(status="completed"))
    (line,) = lines([of_result(ended)], "oracle_calls", "hypergradient_norm")
    assert line.values[0, -1] == 1.0
    assert np.isfinite(line.values).all()


def test_a_value_that_is_not_defined_is_worst() -> None:
    one = synthetic.record(2, norm=lambda cell, seed, t: np.where(t > 300, np.nan, 1.0))
    (line,) = lines([of_record(one)], "iteration", "hypergradient_norm")
    assert np.isinf(line.end)


def test_colours_panels_and_labels_are_the_projects() -> None:
    figure = drawn([of_record(one) for one in records()], Wanted(panel="exponent", bands=True), "t").figure
    assert figure is not None
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == ["p = 2", "p = 4"]
    assert shown[0].get_xlabel() == "oracle calls"
    assert "∇φ" in shown[0].get_ylabel()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["UniBiO", "mine"]
    colours = {to_hex(line.get_color()) for line in shown[0].lines}
    assert methods.METHODS["unibio"].colour in colours
    assert len(colours) == 2, "a method of the reader's own has a colour of its own"
    assert not colours & {colour for colour, _, _ in style.EXPONENTS.values()}
    assert shown[0].get_yscale() == "log"


def test_the_table_holds_what_is_drawn() -> None:
    table = drawn([of_record(one) for one in records()], Wanted(x="iteration", best=True), "t").tables["t"]
    assert {"algorithm", "problem.noise", "iteration", "hypergradient_norm median", "q25", "q75"} <= set(table)
    assert set(table["problem.exponent"]) == {2}, "the lowest of each method"


def test_logarithmic_axes_are_chosen_by_the_numbers_or_by_the_reader() -> None:
    sources = [of_record(synthetic.record(2, norm=lambda cell, seed, t: t - 5.0))]
    for log, expected in ((None, ("log", "linear")), ("", ("linear", "linear")), ("xy", ("log", "log"))):
        (axes,) = drawn(sources, Wanted(log=log), "t").figure.axes  # type: ignore[union-attr]
        assert (axes.get_xscale(), axes.get_yscale()) == expected


def test_what_is_not_there_is_said() -> None:
    sources = [of_record(one) for one in records()]
    found = lines(sources, "iteration", "value")
    for call in (
        lambda: plot([]),
        lambda: plot(3),
        lambda: drawn(sources, Wanted(x="minutes"), "t"),
        lambda: drawn(sources, Wanted(y="nrm"), "t"),
        lambda: drawn(sources, Wanted(by="exponant"), "t"),
        lambda: Wanted(log="z"),
        lambda: plot(records(), colour="red"),
        lambda: key_of("nothing", found),
    ):
        with pytest.raises(InputError) as refused:
            call()
        check_message(str(refused.value))


def test_two_settings_of_one_last_word_are_told_apart() -> None:
    one, other = records()[:2]
    for k, record in enumerate((one, other)):
        record.config["algorithm"]["noise_of"], record.config["problem"]["noise_of"] = k, k
        record.config["algorithm"]["name"] = "unibio"
    found = lines([of_record(one), of_record(other)], "iteration", "value")
    with pytest.raises(InputError, match=r"problem\.noise_of or algorithm\.noise_of"):
        key_of("noise_of", found)
    assert key_of("algorithm.noise_of", found) == "algorithm.noise_of"


def test_the_best_is_never_one_that_diverged() -> None:
    one = synthetic.record(
        2, axes={"upper_step": [0.1, 0.2]}, norm=lambda cell, seed, t: np.full(len(t), cell["upper_step"]),
        status=lambda cell, seed: "diverged" if cell["upper_step"] == 0.1 else "completed",
    )  # fmt: skip
    (best,) = best_of(lines([of_record(one)], "iteration", "hypergradient_norm"), [])
    assert best.settings["algorithm.upper_step"] == 0.2


def test_results_and_comparisons_are_drawn_as_they_are() -> None:
    one = synthetic.record(2, axes={"noise": [0.0, 1.0]})
    result = SimpleNamespace(history=one.history, runs=one.runs)
    figure = plot(result, by="noise")
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG"), "a notebook shows it"
    figure = plot(SimpleNamespace(results={"unibio": result, "my own": result}))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["UniBiO", "my own"]


@pytest.mark.slow
def test_the_command_writes_picture_pdf_and_table(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--records", str(root), "--out", str(tmp_path)]
    main(["plot", "tried", "--x", "iteration", "--by", "algorithm", "--panel", "exponent", "--log", "none", *words])
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.relative_to(tmp_path / "plots").as_posix() for path in written] == [
        "figures/tried.png",
        "figures/tried.pdf",
        "figures/tried.curves.json",
        "tables/tried.csv",
    ]
    assert all(path.stat().st_size > 100 for path in written)
    main(["plot", "tried", "again", "--by", "sweep", "--best", *words])
    assert set(pd.read_csv(tmp_path / "plots" / "tables" / "tried+again.csv")["sweep"]) == {"tried", "again"}
    for wrong in (["nothing"], ["tried", "--log", "z"], ["tried", "--y", "nrm"], []):
        with pytest.raises(SystemExit):
            main(["plot", *wrong, *words])
        check_message(capsys.readouterr().err.splitlines()[-1])


@pytest.mark.slow
def test_a_report_has_settings_curves_ends_rates_and_files(root: Path, tmp_path: Path) -> None:
    main(["report", "tried", "--records", str(root), "--out", str(tmp_path), "--panel", "exponent"])
    out = tmp_path / "sweeps" / "tried"
    text = (out / "report.md").read_text(encoding="utf-8")
    for heading in ("# tried", "## Settings", "## Curves", "## Where they end", "## Rates", "## Records"):
        assert f"{heading}\n" in text
    assert "python -m unibio experiment=tried" in text
    assert "computed by older code" in text, "what is wrong with the records is said"
    assert (out / "index.html").read_text(encoding="utf-8").count("data:image/webp") == 1
    final = pd.read_csv(out / "tables" / "final.csv")
    assert final["hypergradient_norm"].tolist() == [3, 3, 5, 5, 11, 11, 21, 21]
    assert set(final["algorithm"]) == {"UniBiO", "mine"}
    rates = pd.read_csv(out / "tables" / "rates.csv")
    assert {"slope", "interval_low", "interval_high", "against", "of"} <= set(rates)
    assert rates["slope"].abs().max() < 1e-6
    latex = (out / "tables" / "final.tex").read_text(encoding="utf-8")
    assert r"\toprule" in latex
    assert "_" not in latex.replace(r"\_", ""), "what LaTeX reads as a sign is escaped"
    assert (out / "figures" / "curves.pdf").is_file()
    assert len(re.findall(rb"/Type /Page\b", (out / "report.pdf").read_bytes())) >= 2
    assert "report.pdf" in (out / "index.html").read_text(encoding="utf-8")
    assert "hypergradient_norm_mean" not in text, "a reader's words"


def test_what_each_method_has_of_its_own_is_said_of_which() -> None:
    from unibio.report.sweep import _own

    found = [of_record(one) for one in records()]
    for source, step in zip(found, (0.1, 0.1, 0.3, 0.3), strict=True):
        source.settings["algorithm.own_step"] = step
    every = lines(found, "iteration", "value")
    assert _own(every, "algorithm.own_step") == "0.1 (UniBiO); 0.3 (mine)"
    assert _own(every, "steps") == "400"


def test_rates_are_those_of_a_power_law_with_their_interval(tmp_path: Path) -> None:
    from unibio.report.sweep import rates

    one = synthetic.record(
        2, seeds=5, mean=lambda cell, seed, t: (1 + seed / 100) * np.maximum(t, 1.0) ** -(0.25 + seed / 1000)
    )
    table = rates([of_record(one)], "oracle_calls", "hypergradient_norm")
    by_iteration = table[table["against"] == "iteration"]
    assert set(table["of"]) == {"hypergradient_norm_mean"}
    assert by_iteration["slope"].to_numpy() == pytest.approx(-0.252)
    assert ((by_iteration["interval_low"] < -0.252) & (by_iteration["interval_high"] > -0.252)).all()


@pytest.mark.slow
def test_drawing_loads_neither_torch_nor_hydra() -> None:
    code = "import sys, unibio.report.plotting, unibio.report.sweep, unibio.cli.sweeps\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "hydra", "omegaconf"} & set(done.stdout.split())
