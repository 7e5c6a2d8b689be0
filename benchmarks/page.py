"""The tables: in the terminal, and in README.md between its two markers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import rival_sheets
from goals import behind, reached
from measure import Row
from sheet import Sheet, millions, number, verdict

BEGIN, END = "<!-- results: written by run.py -->", "<!-- end of results -->"
LAYOUTS = {"seeds": "a seed each", "grid": "seeds × settings"}
RIVALS = {"python_floats": "Python floats", "numpy_float64": "np.float64", "numpy_arrays": "1-element arrays"}
PROGRAMS = {"unibio": "UniBiO", "epoch_sgd": "Epoch-SGD alone"}


#: First words of the names of rows that are shown one by one.
MEASURED_ALONE = (
    "agreement",
    "random",
    "history",
    "memory",
    "harness",
    "dashboards",
    "startup",
    "loops",
    "compiled",
    "bench",
)


def _cases(rows: Mapping[str, Row]) -> Iterator[tuple[str, str, str]]:
    """(program, "p4", "noise" or "no_noise") in the order measured."""
    seen = dict.fromkeys(tuple(name.split("/")[:3]) for name in rows if name.split("/")[0] in PROGRAMS)
    yield from sorted(seen, key=lambda case: (list(PROGRAMS).index(case[0]), case[2] == "no_noise"))


def sheets(rows: Mapping[str, Row]) -> list[Sheet]:
    """All tables."""
    speedups, rates = [], []
    for program, p, noise in _cases(rows):
        case = [PROGRAMS[program], p[1:], "yes" if noise == "noise" else "no"]
        own = [rows.get(f"{program}/{p}/{noise}/{name}") for name in (*LAYOUTS, *RIVALS)]
        rates.append([*case, *map(millions, own)])
        for layout, said in LAYOUTS.items():
            ratios = [rows.get(f"speedup/{program}/{p}/{noise}/{layout}/{rival}") for rival in RIVALS]
            if any(ratios):
                speedups.append([*case, said if noise == "noise" else "any", *map(verdict, ratios)])
    wanted = [f"over {said}" + _target(rows, rival) for rival, said in RIVALS.items()]
    result = [
        reached(rows),
        behind(rows),
        *rival_sheets.sheets(rows),
        Sheet("Speed-up over scalar code", ["program", "p", "noise", "trajectories", *wanted], speedups),
        Sheet(
            "Million lower-level steps per second",
            ["program", "p", "noise", *(f"ours, {said}" for said in LAYOUTS.values()), *RIVALS.values()],
            rates,
        ),
    ]
    pairs = dict.fromkeys(tuple(name.split("/")[1:3]) for name in rows if name.startswith("derivatives/"))
    lines = []
    for p, noise in pairs:
        names = ("own_derivatives", "autograd", "ratio")
        own, auto, ratio = (rows[f"derivatives/{p}/{noise}/{name}"] for name in names)
        case = [p[1:], "yes" if noise == "noise" else "no"]
        lines.append([*case, millions(own), millions(auto), verdict(ratio)])
    result.append(
        Sheet("The same, by where derivatives come from", ["p", "noise", "own derivatives", "autograd", "ratio"], lines)
    )
    lines = [
        [name, f"{millions(row)} M" if row.unit.endswith("/s") and row.value is not None else number(row.value),
         row.unit, row.note]
        for name, row in rows.items()
        if name.split("/")[0] in MEASURED_ALONE
    ]  # fmt: skip
    result.append(
        Sheet(
            "Agreement, random numbers, history, sweeps, start-up, memory, compiling, and how long all this took",
            ["what", "value", "unit", "how"],
            lines,
        )
    )
    if any(name.startswith("overhead/") for name in rows):
        result.append(_methods(rows))
    if any(name.startswith("network/") for name in rows):
        result.append(_network(rows))
    for layout, said in LAYOUTS.items():
        lines = [
            [name.split("/", 2)[2], number(row.value)]
            for name, row in rows.items()
            if name.startswith(f"shares/{layout}/")
        ]
        result.append(Sheet(f"Where the time goes: p = 4, noise, {said}", ["part", "% of the time"], lines))
    return [sheet for sheet in result if sheet.lines]


def _methods(rows: Mapping[str, Row]) -> Sheet:
    """What methods add to their oracles: a line per method, three columns per case."""
    found = [name.split("/")[1:] for name in rows if name.startswith("overhead/")]
    cases, names = (list(dict.fromkeys(column)) for column in zip(*found, strict=True))
    header = ["method"]
    for case in cases:
        header += [f"{case}: ms an iteration", "oracle calls", f"over them{_target(rows, f'{case}/{names[0]}', '≤')}"]
    lines = []
    for name in names:
        line = [name]
        for case in cases:
            time = rows[f"iteration/{case}/{name}"].value
            assert isinstance(time, float)
            calls = rows[f"bare/{case}/{name}"].note.split()[0]
            line += [number(1e3 * time), calls, verdict(rows[f"overhead/{case}/{name}"])]
        lines.append(line)
    return Sheet("Time of an iteration over that of its oracle calls alone", header, lines)


def _network(rows: Mapping[str, Row]) -> Sheet:
    """The recurrent network: a line per quantity, a column per width."""
    found = [name.split("/")[1:] for name in rows if name.startswith("network/")]
    widths, names = (list(dict.fromkeys(column)) for column in zip(*found, strict=True))
    lines = []
    for name in names:
        here = [rows.get(f"network/{width}/{name}") for width in widths]
        known = next(row for row in here if row is not None)
        wanted = [f"{row.target:g}" for row in here if row is not None and row.target is not None]
        line = [name.replace("_", " "), known.unit, " / ".join(wanted)]
        for row in here:
            met = "" if row is None or row.met is None else " met" if row.met else " missed"
            line.append("" if row is None else number(row.value) + met)
        lines.append([*line, " / ".join(dict.fromkeys(row.note for row in here if row is not None and row.note))])
    header = ["what", "unit", "target", *(f"{width} units" for width in widths), "how"]
    return Sheet("UniBiO on the recurrent network: batch 128, 300-d vectors, SNLI's lengths", header, lines)


def _target(rows: Mapping[str, Row], rival: str, sign: str = "≥") -> str:
    targets = {row.target for name, row in rows.items() if name.endswith(f"/{rival}") and row.target is not None}
    return "".join(f" ({sign} {target:g}×)" for target in sorted(targets))


def print_tables(rows: Mapping[str, Row]) -> None:
    """All tables, in colour where the terminal has it, 120 columns wide where there is none."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    for title, header, lines in sheets(rows):
        table = Table(title=title, title_justify="left")
        for i, name in enumerate(header):
            table.add_column(name, justify="left" if i == 0 or name == "how" else "right")
        for line in lines:
            colour = "red" if any("missed" in cell for cell in line) else None
            table.add_row(*map(escape, line), style=colour)
        console.print(table)


def markdown(rows: Mapping[str, Row]) -> str:
    """All tables for README.md."""
    machine = "; ".join(f"{n.split('/')[1]} {row.value}" for n, row in rows.items() if n.startswith("machine/"))
    parts = [f"Measured on: {machine}."]
    for title, header, lines in sheets(rows):
        table = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *lines)]
        parts.append("\n".join([f"### {title}", "", *table]))
    return "\n\n".join(parts)


def write_page(path: Path, rows: Mapping[str, Row]) -> None:
    """Replace what stands between the markers of README.md."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    path.write_text(f"{before}{BEGIN}\n\n{markdown(rows)}\n\n{END}{after}", encoding="utf-8")
