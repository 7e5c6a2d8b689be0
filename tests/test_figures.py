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
from matplotlib.text import Text

from synthetic import EXPONENTS, record, study, whole_study, write_study
from unibio.errors import InputError
from unibio.figures import FIGURES, draw_all, style

TABLES = {"runtime", "nli_controls", "nli_tuning", "nli_released"}
PICTURES = [name for name in FIGURES if name not in TABLES]
SHORT = ("fig1", "lr_search", "e1_curves", "fig4")
SMALLEST_FONT = 9


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_and_its_tables_are_written(tmp_path, name):
    paths = draw_all(tmp_path, tmp_path, [name], study=study(**whole_study()))
    assert all(path.is_file() for path in paths)
    assert len(pd.read_csv(tmp_path / "tables" / f"{name}.csv")) > 0
    if name in PICTURES:
        assert (tmp_path / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["fig1", "lr_search", "theorem_schedule", "runtime"])
def test_the_same_records_give_the_same_bytes(tmp_path, name):
    first, again = (draw_all(tmp_path, tmp_path / run, [name], study=study(**whole_study())) for run in ("a", "b"))
    assert first
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert not any(word in one.read_bytes() for word in (b"CreationDate", b"Matplotlib version"))


@pytest.mark.parametrize(("name", "scale"), [*((n, "paper") for n in PICTURES), *((n, "smoke") for n in SHORT)])
def test_a_figure_is_legible(name, scale):
    """At full length, some as short as a smoke run: axes named, no small print, no text on another or cut off."""
    with matplotlib.rc_context(style.RC):
        figure = FIGURES[name].draw(study(**whole_study(scale, steps=400 if scale == "paper" else 30))).figure
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        hidden = _outside_the_limits(figure)
        texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in hidden]
        boxes = [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in texts]
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


def test_figures_need_neither_torch_nor_hydra(tmp_path):
    root = tmp_path / "runs"
    write_study(root, {name: whole_study()[name] for name in ("theorem_schedule", "runtime", "lr_search")})
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'hydra', 'omegaconf', 'wandb')))\n"
        "from pathlib import Path; from unibio import report; from unibio.figures import draw_all\n"
        f"root, out = Path({str(root)!r}), Path({str(tmp_path)!r})\n"
        "draw_all(root, out, ['theorem_schedule', 'runtime', 'lr_search']); report.write(root, out)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    assert (tmp_path / "report.md").is_file()
    assert (tmp_path / "figures" / "lr_search.png").is_file()


def test_several_processes_write_the_same_files(tmp_path, capsys):
    root = tmp_path / "runs"
    write_study(root, {name: whole_study()[name] for name in ("theorem_schedule", "runtime")})
    (root / ".experiments" / "fig5.json").write_text('{"command": "again", "records": ["gone"]}', encoding="utf-8")
    one, many = ([p.relative_to(tmp_path / w) for p in draw_all(root, tmp_path / w, workers=int(w))] for w in "12")
    assert one == many
    assert {path.stem for path in one} == {"theorem_schedule", "theorem_schedule_fit", "runtime"}
    assert all((tmp_path / "1" / path).read_bytes() == (tmp_path / "2" / path).read_bytes() for path in one)
    said = capsys.readouterr().err.splitlines()
    assert sorted(said[: len(said) // 2]) == sorted(said[len(said) // 2 :])
    assert any("1 of 1 records missing or damaged (first: gone); rerun: again" in line for line in said)
    assert any(re.match(r"unibio: \d+ figures left out \(fig1, .*\): not run in .*: .*\bfig1\b", line) for line in said)
    assert sum("left out" in line for line in said) == 2 * (1 + 2)  # all that nobody ran, and two of fig5, that is gone


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
    with pytest.raises(InputError, match="no complete records"):
        draw_all(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="Did you mean 'fig5_ranges'"):
        draw_all(tmp_path, tmp_path / "out", ["fig5_range"])


def test_diverged_runs_do_not_break_figures(tmp_path):
    def some(cell, seed):
        return "diverged" if seed else "completed"

    noisy = [record(p, {"noise": [0.0, 1.0]}, status=some, seeds=3) for p in EXPONENTS]
    every = [record(p, {"noise": [0.0], "upper_step": [0.03, 0.01]}, status=lambda c, s: "diverged") for p in EXPONENTS]
    given = study(fig1=noisy, fig5=every, fig1_equal=every)
    names = ["fig1", "fig1_equal", "fig5", "fig5_ranges"]
    assert draw_all(tmp_path, tmp_path, names, study=given)
    table = pd.read_csv(tmp_path / "tables" / "fig1.csv")
    assert np.isinf(table["median"]).any()
    assert np.isfinite(table["median"]).any()


def test_tables_hold_what_is_drawn(tmp_path):
    draw_all(tmp_path, tmp_path, ["fig1_equal", "fig5"], study=study(**whole_study()))
    hits = pd.read_csv(tmp_path / "tables" / "fig1_equal_first_hits.csv")
    still = hits[hits["noise"] == 0].pivot(index="upper_step", columns="p", values="iterations")
    assert still.to_dict("index") == {
        step: dict.fromkeys(EXPONENTS, hit) for step, hit in {0.05: 48.0, 0.03: 80.0, 0.02: 120.0, 0.01: 239.0}.items()
    }
    fits = pd.read_csv(tmp_path / "tables" / "fig5_fits.csv")
    assert {"p", "upper_step", "slope", "error", "interval_low", "interval_high", "bound"} <= set(fits)
    assert fits[fits["paper_step"]].groupby("p")["upper_step"].unique().map(list).to_dict() == {
        2: [0.05],
        4: [0.03],
        6: [0.02],
        8: [0.01],
    }
