"""``make bench``: how fast and how large we are beside what a user would pick, write or call instead.

Measures section by section. What is measured is written at once to ``benchmarks/latest.json``, name → {value, unit,
target, relative_to, met, note, section}, and to the tables of ``benchmarks/README.md``, which describes the method.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch and NumPy read it: one thread for everybody

import torch

import latest
import machine
from measure import Row
from page import print_tables, write_page
from sections import SECTIONS, TINY, Scale

HERE = Path(__file__).parent


def measured(name: str, scale: Scale) -> dict[str, Row]:
    """The rows of a section, and how long it took."""
    began, worked = time.perf_counter(), _processor()
    rows = SECTIONS[name].rows(scale)
    took, worked = time.perf_counter() - began, _processor() - worked
    said = f"{machine.today()}; {took / worked:.3g} × its processor time, 1 where nothing else runs"
    return {**rows, f"bench/{name}": Row(took, "s", note=said)}


def _processor() -> float:
    """Processor seconds of this process and of those that it has waited for."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"default: all of {', '.join(SECTIONS)}")
    parser.add_argument("--list", action="store_true", help="say what the sections are, and do nothing")
    parser.add_argument("--page", action="store_true", help="write the tables from latest.json, and measure nothing")
    parser.add_argument("--tiny", action="store_true", help="a few runs and steps: does everything work?")
    parser.add_argument("--output", type=Path, help="where to write the JSON (default: latest.json beside this file)")
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"unknown section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    if options.tiny and options.output is None:
        parser.error("--tiny needs --output: its numbers are not worth keeping as latest.json")
    if options.list:
        print("\n".join(f"{name:12}{section.what}" for name, section in SECTIONS.items()))
        return 0
    output = options.output or HERE / "latest.json"
    rows = latest.load(output)
    if options.page:
        write_page(HERE / "README.md", rows)
        return 0
    torch.set_num_threads(1)
    here = machine.rows()
    differing = latest.elsewhere(rows, here)
    if differing and options.sections:
        parser.error(
            f"{output} was measured with another {differing}: measure all sections, or name another file by --output"
        )
    rows = {**({} if differing else rows), **here}
    for name in options.sections or SECTIONS:
        print(f"  {SECTIONS[name].what} …", file=sys.stderr, flush=True)
        rows = latest.with_section(rows, name, measured(name, TINY if options.tiny else Scale()), SECTIONS)
        print(f"  … {rows[f'bench/{name}'].value:.1f} s", file=sys.stderr, flush=True)
        latest.save(output, rows)
        if options.output is None:
            write_page(HERE / "README.md", rows)
    print_tables(rows)
    print(f"\nwritten: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
