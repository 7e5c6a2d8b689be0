"""Attack the library with random problems and planted mistakes: python -m adversary --cases 10000.

Every case is a small problem whose hypergradient is known, with one mistake of the kinds that users made elsewhere, or
none. All estimators and a short run are asked; whatever is neither right nor told is *silently wrong*. Cases without a
mistake show the other side: how often something solvable is refused, NaN or warned about.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from adversary.attack import ask, kept, line_of, one_thread, page, tally


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="adversary", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first case (default: 0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument(
        "--failing", type=Path, default=Path("adversary.jsonl"), help="where failing answers are written"
    )
    parser.add_argument(
        "--kept",
        type=Path,
        help="keep all answers in this file, and ask no case again that it holds: an attack in parts, or one that was\n"
        "interrupted (of one state of the code: the file does not know it)",
    )
    parser.add_argument("--page", type=Path, help="write the counts as a page in Markdown, such as docs/adversary.md")
    parser.add_argument("--seed", type=int, help="show every answer of this one case")
    options = parser.parse_args()
    if options.seed is not None:
        for answer in ask(options.seed):
            print(json.dumps(asdict(answer), ensure_ascii=False))
        return
    began, seeds = time.monotonic(), range(options.first, options.first + options.cases)
    answers = {seed: some for seed, some in kept(options.kept).items() if seed in seeds}
    left = [seed for seed in seeds if seed not in answers]
    pool = ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn"), one_thread)
    with pool, (options.kept or Path(os.devnull)).open("a", encoding="utf-8", buffering=1) as file:
        asked = tqdm(pool.map(ask, left, chunksize=20), total=len(left), unit="case", disable=None)
        for seed, some in zip(left, asked, strict=True):
            answers[seed] = some
            file.write(line_of(seed, some))
    found = [answer for seed in seeds for answer in answers[seed]]
    with options.failing.open("w", encoding="utf-8") as file:
        for answer in found:
            if answer.outcome == "silent" or (answer.solvable and answer.outcome == "told"):
                file.write(json.dumps(asdict(answer), ensure_ascii=False) + "\n")
    text, silent, share = tally(found)
    if options.page is not None:
        options.page.write_text(page(found, len(seeds)), encoding="utf-8")
    print(f"{text}\n{len(left)} cases asked in {time.monotonic() - began:.0f} s; failing answers in {options.failing}")
    sys.exit(1 if silent or share > 0.01 else 0)


if __name__ == "__main__":
    main()
