"""SNLI (Bowman, Angeli, Potts and Manning, 2015) from the Hugging Face hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from unibio.data.download import reachable
from unibio.data.pairs import Pair, Source
from unibio.data.progress import Progress
from unibio.data.settings import TRAIN, DataSettings
from unibio.errors import InputError

NAME = "stanfordnlp/snli"
_SPLITS = {"train": "train", "valid": "validation", "test": "test"}


def snli(settings: DataSettings, progress: Progress) -> Source:
    """SNLI from the hub, or from the hub's own cache with HF_HUB_OFFLINE=1.

    Args:
        settings: of which a message says how to prepare them elsewhere.

    Raises:
        InputError: unreachable, at once: the hub's client would try again for 20 seconds.
    """
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if not offline:
        endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        problem = reachable(f"{endpoint}/api/datasets/{NAME}")
        if problem is not None:
            raise InputError(
                f"data.source = snli: the hub at {endpoint} cannot be reached ({problem}). {_ways_out(settings)}"
            )
    progress.say(f"loading {NAME} from {'the cache of the hub' if offline else 'the hub'}")
    try:
        import datasets

        loaded = datasets.load_dataset(NAME)
        splits = {split: loaded[name] for split, name in _SPLITS.items()}
    except Exception as error:  # the client's exceptions are of many kinds, and none of them helps more than its text
        said = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"data.source = snli: the hub gave no {NAME} ({type(error).__name__}: {said}). {_ways_out(settings)}"
        ) from None
    for split, part in splits.items():
        missing = {"premise", "hypothesis", "label"} - set(part.column_names)
        if missing:
            raise InputError(f"data.source = snli: {NAME} on the hub has no {sorted(missing)[0]} in its {split} pairs")
    versions = {"datasets": datasets.__version__}
    return Source(f"SNLI 1.0 ({NAME} on the hub)", {split: _pairs(part) for split, part in splits.items()}, versions)


def _ways_out(settings: DataSettings) -> str:
    more = "" if settings.train is not None and settings.train <= TRAIN else f" data.train={settings.train or 'null'}"
    return (
        f"Ways out: prepare once where there is a network (unibio data snli data.vectors={settings.vectors}{more}) and "
        f"copy its data.cache, the directory data, to {settings.cache} here; data=directory data.dir=… with SNLI's "
        "files; data=generated, a task that needs nothing; or HF_HUB_OFFLINE=1 where the hub's own cache has the data "
        "set."
    )


def _pairs(part: Any) -> Iterator[Pair]:
    """The split's pairs; the hub has −1 where annotators did not agree."""
    batches = part.iter(batch_size=1000)
    rows = (row for one in batches for row in zip(one["premise"], one["hypothesis"], one["label"], strict=True))
    for number, row in enumerate(rows, start=1):
        if tuple(map(type, row)) != (str, str, int):
            raise InputError(
                f"data.source = snli: pair {number} of {NAME} on the hub is {row!r}: no two texts and a label"
            )
        yield Pair(*row)
