"""Figures: drawn from records alone, the same bytes every time, legible, nothing on top of anything."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.container import Container
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from synthetic import EXPONENTS, record, study, whole_evidence, whole_study, write_study
from unibio.errors import InputError
from unibio.report.pictures import draw_all
from unibio.studies import DRAWINGS, STUDIES
from unibio.studies.common import style

TABLES = {"runtime", "nli_controls", "nli_tuning", "nli_released"}
SHORT = ("fig1", "lr_search", "e1_curves", "fig4")
SMALLEST_FONT = 9


def _cases():
    """Every figure at full length and some that are short; in make test every third study's first, but Figure 5."""
    first = [study.drawings[0].name for study in STUDIES if study.drawings]
    for name in DRAWINGS:
        yield pytest.param(name, "paper", marks=() if name in first[::3] and name != "fig5" else pytest.mark.slow)
    for name in SHORT:
        yield pytest.param(name, "smoke", marks=pytest.mark.slow)


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("name", "scale"), list(_cases()))
def test_a_figure_is_legible_and_has_its_table(name, scale):
    """At full length, some as short as a smoke run: axes named, no small print, no text on another or cut off."""
    with matplotlib.rc_context(style.RC):
        drawn = DRAWINGS[name].draw(whole_evidence(scale, steps=400 if scale == "paper" else 30))
        assert len(drawn.tables[name]) > 0
        assert (drawn.figure is None) == (name in TABLES)
        if drawn.figure is not None:
            check_legible(drawn.figure)


def check_legible(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    hidden = _outside_the_limits(figure)
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in hidden]
    boxes = [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in texts]
    legends = [one for one in [*figure.legends, *(axes.get_legend() for axes in figure.axes)] if one is not None]
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert any(axes.get_xlabel() for axes in panels)
    assert any(axes.get_ylabel() for axes in panels)
    assert min(text.get_fontsize() for text in texts) >= SMALLEST_FONT
    for text, box in boxes:
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
        assert inside, f"{text!r} is cut off"
    for (text, box), (other, its_box) in itertools.combinations(boxes, 2):
        width = min(box.x1, its_box.x1) - max(box.x0, its_box.x0)
        height = min(box.y1, its_box.y1) - max(box.y0, its_box.y0)
        assert width < 1 or height < 1, f"{text!r} and {other!r} overlap"
    for legend in legends:
        entries = zip(map(grey, legend.legend_handles), (text.get_text() for text in legend.texts), strict=True)
        for (one, text), (another, other) in itertools.combinations(entries, 2):
            assert one != another, f"{text!r} and {other!r} look alike without colour"


def grey(entry):
    """What of a legend's entry is left without colour; an area keeps how dark it is."""
    if isinstance(entry, Patch):
        return entry.get_hatch(), round(5 * float(np.dot(entry.get_facecolor()[:3], (0.3, 0.59, 0.11))))
    lines = entry.get_children() if isinstance(entry, Container) else [entry]
    line = next(one for one in lines if isinstance(one, Line2D))
    is_open = to_rgb(line.get_markerfacecolor()) == (1.0, 1.0, 1.0) or line.get_fillstyle() == "none"
    dashes = line.get_linestyle(), line._unscaled_dash_pattern
    return line.get_marker(), is_open, dashes, line.get_linewidth() >= 3.0


def _outside_the_limits(figure):
    """Tick labels that exist without being drawn."""
    hidden = set()
    for axis in itertools.chain.from_iterable((axes.xaxis, axes.yaxis) for axes in figure.axes):
        low, high = sorted(axis.get_view_interval())
        slack = 1e-9 * max(abs(low), abs(high))
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if not low - slack <= tick.get_loc() <= high + slack or not tick.label1.get_visible():
                hidden |= {tick.label1, tick.label2}
    return hidden


@pytest.mark.parametrize("name", ["lr_search", "inner_iterations", "runtime"])
@pytest.mark.slow
def test_the_same_records_give_the_same_bytes(tmp_path, name):
    """Of a figure with a bar of colours, of lines, and of a table alone (the slow test below writes all)."""
    given = {experiment: whole_study()[experiment] for experiment in DRAWINGS[name].experiments}
    first, again = (draw_all(tmp_path, tmp_path / run, [name], evidence=study(**given)) for run in ("a", "b"))
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert not any(word in one.read_bytes() for word in (b"CreationDate", b"Matplotlib version"))
    check_files(tmp_path / "a", name)


def check_files(out, name):
    assert len(pd.read_csv(out / "tables" / f"{name}.csv")) > 0
    if name not in TABLES:
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (out / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_every_figure_and_its_tables_are_written(tmp_path):
    paths = draw_all(tmp_path, tmp_path, evidence=whole_evidence())
    assert all(path.is_file() for path in paths)
    for name in DRAWINGS:
        check_files(tmp_path, name)


def test_exponents_look_different_in_grey():
    looks = [style.of_exponent(p) for p in EXPONENTS]
    assert len({look["marker"] for look in looks}) == len({str(look["linestyle"]) for look in looks}) == 4
    rgb = np.array([matplotlib.colors.to_rgb(look["color"]) for look in looks])
    assert len({tuple(np.round(c, 3)) for c in rgb}) == 4


def test_markers_of_a_panel_do_not_coincide():
    x = np.arange(500.0)
    places = [set(style.spread_markers(x, i)) for i in range(4)]
    assert all(len(place) == 6 for place in places)
    assert not set.intersection(*places)


@pytest.mark.slow
def test_figures_and_report_need_neither_torch_nor_hydra(tmp_path):
    """By the commands that a reader of somebody else's records types."""
    root = tmp_path / "runs"
    write_study(root, {"inner_iterations": whole_study()["inner_iterations"]})
    where = f"'--records', {str(root)!r}, '--out', {str(tmp_path)!r}"
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'hydra', 'omegaconf', 'wandb')))\n"
        f"from unibio.cli.main import main; main(['figures', {where}]); main(['report', {where}])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)
    assert (tmp_path / "report.md").is_file()
    assert (tmp_path / "figures" / "inner_iterations.png").is_file()


@pytest.mark.slow
def test_several_processes_write_the_same_files(tmp_path, capsys):
    root = tmp_path / "runs"
    write_study(root, {name: whole_study()[name] for name in ("inner_iterations", "runtime")})
    (root / ".experiments" / "fig5.json").write_text('{"command": "again", "records": ["gone"]}', encoding="utf-8")
    one, many = ([p.relative_to(tmp_path / w) for p in draw_all(root, tmp_path / w, workers=int(w))] for w in "12")
    assert one == many
    assert {path.name.partition(".")[0] for path in one} == {"inner_iterations", "runtime"}
    assert all((tmp_path / "1" / path).read_bytes() == (tmp_path / "2" / path).read_bytes() for path in one)
    said = capsys.readouterr().err.splitlines()
    assert sorted(said[: len(said) // 2]) == sorted(said[len(said) // 2 :])
    assert any("1 of 1 records missing or damaged (first: gone, not complete); rerun: again" in line for line in said)
    assert any(re.match(r"unibio: \d+ figures left out \(fig1, .*\): not run in .*: .*\bfig1\b", line) for line in said)
    gone = [name for name, drawing in DRAWINGS.items() if drawing.experiments == ("fig5",)]
    assert gone == ["fig5", "fig5_ranges", "fig5_ranges_lower"]
    assert sum("left out" in line for line in said) == 2 * (1 + len(gone))  # all that nobody ran, and those


def test_figures_without_records_are_left_out_with_a_reason(tmp_path, capsys):
    root = tmp_path / "runs"
    write_study(root, {"runtime": whole_study()["runtime"]})
    assert [path.name for path in draw_all(root, tmp_path / "out")] == ["runtime.csv"]
    said = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert len(said) == 1
    assert re.search(r"figures left out \(fig1, .*not run in .*: .*\bfig1\b.*python -m unibio experiment=NAME", said[0])


def test_a_figure_asked_for_by_name_must_have_records(tmp_path):
    with pytest.raises(InputError, match=r"figure fig5: no complete records .* python -m unibio experiment=fig5"):
        draw_all(tmp_path, tmp_path / "out", ["fig5"])
    with pytest.raises(InputError, match=r"figures left out .*: not run in"):
        draw_all(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="Did you mean 'fig5_ranges'"):
        draw_all(tmp_path, tmp_path / "out", ["fig5_range"])


@pytest.mark.slow
def test_diverged_runs_do_not_break_figures():
    def some(cell, seed):
        return "diverged" if seed else "completed"

    noisy = [record(p, {"noise": [0.0, 1.0], "upper_noise": [0.0, 1.0]}, status=some, seeds=3) for p in EXPONENTS]
    every = [record(p, {"noise": [0.0], "upper_step": [0.03, 0.01]}, status=lambda c, s: "diverged") for p in EXPONENTS]
    given = study(fig1=noisy, fig5=every, fig1_equal=every)
    tables = {}
    for name in ("fig1", "fig1_equal", "fig5", "fig5_ranges"):
        drawn = DRAWINGS[name].draw(given)
        FigureCanvasAgg(drawn.figure).draw()
        tables |= drawn.tables
    assert np.isinf(tables["fig1"]["median"]).any()
    assert np.isfinite(tables["fig1"]["median"]).any()


@pytest.mark.slow
def test_tables_hold_what_is_drawn():
    hits = DRAWINGS["fig1_equal"].draw(whole_evidence()).tables["fig1_equal_first_hits"]
    still = hits[(hits["noise"] == 0) & (hits["upper_noise"] == 0)].pivot(
        index="upper_step", columns="p", values="iterations"
    )
    assert still.to_dict("index") == {
        step: dict.fromkeys(EXPONENTS, hit) for step, hit in {0.05: 48.0, 0.03: 80.0, 0.02: 120.0, 0.01: 239.0}.items()
    }
    fits = DRAWINGS["fig5"].draw(whole_evidence()).tables["fig5_fits"]
    assert {"p", "upper_step", "slope", "interval_low", "interval_high", "bound"} <= set(fits)
    assert fits[fits["paper_step"]].groupby("p")["upper_step"].unique().map(list).to_dict() == {
        2: [0.05],
        4: [0.03],
        6: [0.02],
        8: [0.01],
    }
