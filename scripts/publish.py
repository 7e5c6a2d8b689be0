"""Copy what `make reproduce` wrote to results/published, the copy under version control: what `make publish` calls.

The page's pictures are linked there instead of inside it: they lie beside it, and would be in the history twice.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from unibio.errors import InputError
from unibio.page import linked

#: What a reader of the repository is given.
PARTS = ("claims.json", "report.md", "figures", "tables")


def publish(results: Path) -> Path:
    """Replace ``results``/published by a copy of what lies in ``results``; returns it.

    Raises:
        InputError: there is no complete report, or it is of scale smoke.
    """
    absent = [name for name in (*PARTS, "index.html") if not (results / name).exists()]
    if absent:
        raise InputError(f"no {results / absent[0]}: run make reproduce first")
    scales = json.loads((results / "claims.json").read_text(encoding="utf-8"))["scales"]
    if not scales or "smoke" in scales:  # laptop and workstation are named beside every verdict they give
        said = ", ".join(scales) or "none"
        raise InputError(f"{results} is of scale {said}, which proves nothing: run make reproduce SCALE=paper first")
    made, published = results / ".published", results / "published"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    for name in PARTS:
        source = results / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, made / name)
    text = (results / "index.html").read_text(encoding="utf-8")
    (made / "index.html").write_text(linked(text), encoding="utf-8")
    shutil.rmtree(published, ignore_errors=True)
    return made.rename(published)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"), help="what make reproduce wrote")
    try:
        print(publish(parser.parse_args().results) / "index.html")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
