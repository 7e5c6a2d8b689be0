"""``unibio data``: prepare what a configuration asks for, and say what it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unibio.cli.entry import Parser
from unibio.data.account import described
from unibio.data.load import load_pairs
from unibio.data.progress import shown
from unibio.data.settings import SOURCES, DataSettings
from unibio.errors import InputError


def main(arguments: Sequence[str], about: str) -> None:
    """Compose, prepare or read the cache, and print.

    Raises:
        InputError: input that cannot work.
    """
    parser = Parser(
        "unibio data",
        about,
        epilog="An experiment prepares its own data where it finds none; with this they are ready before, for instance "
        "where there is a network. What is prepared serves every number of pairs.",
    )
    parser.add_argument("overrides", nargs="*", help=f"{', '.join(SOURCES)}, and Hydra overrides of the configuration")
    with shown():
        data = load_pairs(composed(parser.read(arguments).overrides))
    print("\n".join(described(data)))


def composed(overrides: Sequence[str]) -> DataSettings:
    """The data settings of a configuration; a word alone stands for data=WORD, nothing for data=generated.

    Raises:
        InputError: overrides that cannot be composed, or whose experiment uses no sentence pairs.
    """
    from omegaconf import OmegaConf

    from unibio.pipeline.composing import composer

    given = [override if "=" in override else f"data={override}" for override in overrides]
    if not any(override.startswith(("data=", "experiment=")) for override in given):
        given.insert(0, "data=generated")
    with composer() as compose_one:
        chosen = compose_one(given).data
        if chosen is None:
            raise InputError(f"{' '.join(given)} uses no sentence pairs; add data=generated, snli or directory")
        values: Any = OmegaConf.to_container(chosen, resolve=True)
    return DataSettings.create({key: value for key, value in values.items() if key != "name"})
