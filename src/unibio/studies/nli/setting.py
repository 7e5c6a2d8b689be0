"""What a record of hyper-cleaning of sentence pairs was run on, and how far that is from the paper's setting."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from unibio.store.records import Record
from unibio.studies.common.evidence import exponent

PROBLEM = "nli_cleaning"

#: The paper's setting: what it is called, and how much of it.
PAPER = {"units": 4096, "training pairs": 10_000, "dimensions a word vector": 300, "epochs": 20}
#: Components of the word vectors that have a name, and the paper's by the name of their file.
_DIMENSIONS = {"glove": 300, "glove50": 50}
_PAPER_VECTORS = "glove.840B.300d"
#: Of our own and of random vectors where the configuration leaves it open.
_DEFAULT_DIMENSION = 50


#: UniBiO whose Epoch-SGD gets to a second epoch, as the table of methods has it.
TWO_EPOCHS = "unibio epochs"


def method_of(record: Record) -> str:
    """The record's row in the table of methods: UniBiO with two epochs and more is another than with one."""
    algorithm = record.config["algorithm"]
    name = str(algorithm["name"])
    if name != "unibio" or "inner_budget" not in algorithm:
        return name
    p = exponent(record)
    both = float(algorithm["first_length"]) * (1 + 2 ** (2 * (p - 1) / p))  # T₁ + T₂
    return TWO_EPOCHS if float(algorithm["inner_budget"]) >= both else name


def d_is_constant(record: Record) -> bool:
    """Whether UniBiO's D is 1 but at large weights: at p = 2, and where the floor δ has D_δ = (p−1)δ^{p−2} = 1."""
    floor, p = record.config["algorithm"].get("floor"), exponent(record)
    return p == 2 or (floor is not None and abs((p - 1) * float(floor) ** (p - 2) - 1) < 1e-2)


def size(record: Record) -> tuple[Any, ...]:
    """What steps depend on: units, training pairs, epochs."""
    config = record.config
    return config["problem"]["width"], pairs_of(record, "train"), config["epochs"]


def size_in_words(size: tuple[Any, ...]) -> str:
    """What :func:`size` gives, in words."""
    units, pairs, epochs = size
    return f"{units:,} units, {pairs:,} pairs and {epochs:g} epochs"


def told(record: Record) -> Mapping[str, Any]:
    """What the job that made a record noted about its data; {} where it noted nothing."""
    noted = record.summary.get("data")
    return noted if isinstance(noted, Mapping) else {}


def is_snli(record: Record) -> bool:
    """Whether the pairs are known to be SNLI's: from the hub, or from files that hold just its clean splits."""
    return record.config["data"]["source"] == "snli" or set(told(record).get("recognised", ())) >= {"valid", "test"}


def data_name(record: Record) -> str:
    """What the pairs are, in words."""
    source = record.config["data"]["source"]
    if source == "generated":
        return "generated pairs, not SNLI"
    if source == "directory":
        return "SNLI, from files" if is_snli(record) else "pairs from files that were not recognised as SNLI's"
    return "SNLI"


def foreign(found: Iterable[Record]) -> str | None:
    """Why verdicts on these records are not about SNLI, as a clause; None where they are."""
    names = dict.fromkeys(data_name(record) for record in found if not is_snli(record))
    return f"the data are {', '.join(names)}" if names else None


def pairs_of(record: Record, split: str) -> int:
    """Pairs of a split that a record was run on; the configuration's null stands for all there are."""
    sizes = told(record).get("sizes")
    configured = record.config["data"][split]
    return int(sizes[split] if configured is None and isinstance(sizes, Mapping) else configured or 0)


def dimension(record: Record) -> int | None:
    """Components of the word vectors; None for a file's, unless it is the paper's."""
    data = record.config["data"]
    if data["vectors"] in ("own", "random"):
        return int(data.get("dimension") or _DEFAULT_DIMENSION)
    return _DIMENSIONS.get("glove" if vectors_name(data["vectors"]).startswith(_PAPER_VECTORS) else data["vectors"])


def vectors_name(vectors: str) -> str:
    """A kind of vectors; of a file no more than its name, since where it lies is nobody's business."""
    return vectors.replace("\\", "/").rsplit("/", 1)[-1]


def departures(found: Iterable[Record], but: Container[str] = ()) -> list[str]:
    """Where records of this problem leave the paper's setting: "32 units (the paper: 4096)"; [] for other problems.

    Args:
        found: records.
        but: keys of ``PAPER`` that a claim is about, and that it does not leave therefore.
    """
    held: dict[str, dict[Any, None]] = {what: {} for what in PAPER}
    for record in found:
        if record.config["problem"]["name"] == PROBLEM:
            config = record.config
            values = (config["problem"]["width"], pairs_of(record, "train"), dimension(record), config["epochs"])
            for what, value in zip(PAPER, values, strict=True):
                held[what][value] = None
    return [
        f"{_counts(values)} {what} (the paper: {PAPER[what]:,})"
        for what, values in held.items()
        if what not in but and set(values) - {PAPER[what]}
    ]


def _counts(values: Iterable[Any]) -> str:
    return " or ".join("an unknown number of" if value is None else f"{value:,g}" for value in values)


def settings(found: Sequence[Record]) -> list[Record]:
    """One record for every setting that occurs: data, network, length and batches."""
    kinds: dict[tuple[Any, ...], Record] = {}
    for record in found:
        config = record.config
        data = tuple(str(config["data"].get(name)) for name in ("source", "train", "valid", "test", "vectors"))
        network = tuple(config["problem"][name] for name in ("width", "layers"))
        kinds.setdefault((config["data_hash"], *data, *network, config["epochs"]), record)
    return list(kinds.values())
