"""Say which steps the search of the network's experiments chose; with --write, have its scale use them from now on.

    python -m unibio experiment=nli_tuning scale=desk records=runs
    python -m unibio experiment=nli_tuning_others scale=desk records=runs
    python -m unibio experiment=nli_tuning_saba scale=desk records=runs
    python scripts/choose_steps.py --records runs --write

writes a column called like the scale into conf/experiment/nli/METHOD.yaml, and its name into conf/scale/SCALE.yaml.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from unibio.cli.entry import Parser, directory_of_records
from unibio.cli.searching import script
from unibio.errors import InputError
from unibio.pipeline.conf import conf_dir
from unibio.store.writing import write_text
from unibio.studies.common.evidence import Evidence, MissingRecordsError
from unibio.studies.nli.chosen import at_ends, chosen, scale_of, with_column


def main(arguments: Sequence[str]) -> None:
    parser = Parser("choose_steps.py", __doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, default=Path("runs"), help="directory of records (default: runs)")
    parser.add_argument("--column", help="what the column is called (default: as the scale of the search)")
    parser.add_argument("--write", action="store_true", help="write them into conf")
    parser.add_argument("--conf", type=Path, default=conf_dir(), help="where conf lies (default: the project's)")
    options = parser.read(arguments)
    evidence = Evidence(directory_of_records(options.records))
    try:
        steps, scale = chosen(evidence), scale_of(evidence)
    except MissingRecordsError as error:
        raise InputError(str(error)) from None
    column = options.column or scale
    if column == "paper":
        raise InputError("the column paper holds the steps of the released code: call this one otherwise, by --column")
    texts = {}
    for name, values in steps.items():
        path = options.conf / "experiment" / "nli" / f"{name}.yaml"
        texts[path] = with_column(path.read_text(encoding="utf-8"), column, values)
        print(f"{name}: {', '.join(f'{step} {value:g}' for step, value in values.items())}")
    path = options.conf / "scale" / f"{scale}.yaml"
    texts[path] = re.sub(r"(?m)^  steps: .*$", f"  steps: {column}", path.read_text(encoding="utf-8"))
    for said in at_ends(evidence):
        print(said)
    if options.write:
        for path, text in texts.items():
            write_text(path, text)
        print(f"written as column {column} of {len(steps)} methods, which scale={scale} uses")


if __name__ == "__main__":
    with script("choose_steps") as words:
        main(words)
