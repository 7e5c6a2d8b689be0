"""Label noise as a pure function of its seed, and the released code's redrawn noise."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unibio import tensorfile
from unibio.core.streams import Streams
from unibio.data.pairs import LABELS
from unibio.errors import InputError


def flip_with(labels: Tensor, rate: Tensor | float, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Replace each label with probability ``rate`` by one of the other two, either with the same probability.

    Args:
        labels: int64 (...), indices into LABELS.
        rate: probability in [0, 1]; a number, or a tensor that broadcasts with ``labels``.
        uniform: (..., 2), uniform on [0, 1): whether, and to which.

    Returns:
        (labels, flipped): int64 and bool, both (...).
    """
    flipped = uniform[..., 0] < rate
    others = len(LABELS) - 1
    # A product with a number just below 1 may round up to the number of the others.
    turn = 1 + (uniform[..., 1] * others).long().clamp(max=others - 1)
    return torch.where(flipped, (labels + turn) % len(LABELS), labels), flipped


def flip_labels(labels: Tensor, rate: float, seed: int, purpose: str = "train") -> tuple[Tensor, Tensor]:
    """The paper's noise: each label flipped once and for all with probability ``rate``.

    The flipped set of a rate contains those of all lower rates of the same seed.

    Args:
        labels: int64 (n,).
        rate: p̃ in [0, 1].
        seed: the noise's own, in [−2⁶³, 2⁶³).
        purpose: splits with different purposes have independent noise; the released variant also flips "valid".

    Returns:
        (labels, flipped) as in :func:`flip_with`, on the device of ``labels``.

    Raises:
        InputError: a rate outside [0, 1].
    """
    return _flipped(labels, rate, seed, f"label noise/{purpose}", 0)


def redrawn_labels(labels: Tensor, rate: float, seed: int, access: int, purpose: str = "train") -> Tensor:
    """The released code's noise: flipped anew at every access, so that no pair stays noisy.

    Args:
        labels: int64 (n,), the labels of what is accessed, e.g. of one minibatch.
        rate, seed, purpose: as in :func:`flip_labels`, from which this noise is independent.
        access: the how-manieth access of this purpose; the same number gives the same flips.
    """
    return _flipped(labels, rate, seed, f"label noise/{purpose}/redrawn", access)[0]


def _flipped(labels: Tensor, rate: float, seed: int, purpose: str, index: int) -> tuple[Tensor, Tensor]:
    if not 0 <= rate <= 1:
        raise InputError(f"a noise rate of {rate!r} is not accepted: it is the probability of a flip, in [0, 1]")
    uniform = Streams([seed], labels.device).block(purpose, "uniform", index, 2 * len(labels))
    return flip_with(labels, rate, uniform.view(2, -1).T)


def stored_flips(cache: Path | str, labels: Tensor, rate: float, seed: int) -> tuple[Tensor, Tensor]:
    """:func:`flip_labels`, kept in a file of ``cache``: the flipped set of a published run can be looked up later.

    The file holds rate, seed, clean labels' sha256, noisy labels and the flipped set. It is named by what it depends
    on, written atomically with its digest, and written again where it is missing or damaged.

    Raises:
        InputError: the file is intact but holds other flips, so the random numbers of this installation differ from
            those that made it.
    """
    noisy, flipped = flip_labels(labels, rate, seed)
    clean = hashlib.sha256(labels.cpu().numpy().astype("<i8").tobytes()).hexdigest()
    content: dict[str, Any] = {
        "rate": float(rate),
        "seed": seed,
        "clean": clean,
        "noisy": noisy.cpu(),
        "flipped": flipped.cpu(),
    }
    path = Path(cache) / f"noise-{float(rate)!r}-seed{seed}-{clean[:12]}.pt"
    try:
        stored = tensorfile.load(path)
    except (tensorfile.DamagedFile, OSError):
        stored = None
    if stored is None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            tensorfile.save(path, content)
        except OSError as error:
            warnings.warn(f"the flipped set is used but not stored: {error}", stacklevel=2)
    elif not torch.equal(stored["noisy"], content["noisy"]):
        raise InputError(f"{path} holds other flips than this installation draws; remove it if they are not needed")
    return noisy, flipped
