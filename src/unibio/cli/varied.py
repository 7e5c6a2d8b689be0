"""What a sweeper of Hydra's is to vary, looked at before it begins; and what it complains of itself, in one line.

A sweeper composes its jobs by itself, one after the other, and says what is wrong with a key in Hydra's many lines, or
after a search of hours. So every key that it is to vary is first set here to a value or two of its range.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, product

from unibio.errors import InputError
from unibio.pipeline.composing import Compose
from unibio.pipeline.hydra_internals import Override, probes
from unibio.pipeline.overrides import is_group

#: Values of a key that are tried, and choices of files (problems, algorithms) that are composed.
_MOST = 50

_FULL = "HYDRA_FULL_ERROR"


def check(given: Sequence[Override], compose_one: Compose) -> None:
    """Compose what a sweeper may ask for: every choice of files, and with each of them every key at some values.

    Args:
        given: overrides, of which some name several values or a range.
        compose_one: makes a configuration of overrides of one value each. What it composes of plugins, Hydra's own
            main function composes as well.

    Raises:
        InputError: a key or a choice that is not there, or a value of the wrong type.
    """
    fixed = [one.input_line or "" for one in given if not one.is_sweep_override()]
    files = [_tried(one) for one in given if one.is_sweep_override() and is_group(one)]
    varied = [_tried(one) for one in given if one.is_sweep_override() and not is_group(one)]
    for chosen in islice(product(*files), _MOST):
        compose_one([*fixed, *chosen])
        for tried in varied:
            for word in tried:
                compose_one([*fixed, *chosen, word])


def _tried(override: Override) -> list[str]:
    try:
        return list(islice(probes(override), _MOST))
    except Exception:  # of several libraries, about steps of 0 and the like
        raise InputError(
            f"{override.input_line} is no range; write range(START,STOP,STEP), or list the values"
        ) from None


@contextmanager
def in_one_line(sweeper: str) -> Iterator[None]:
    """Around Hydra's main function: what it or a sweeper raises is one line, and not a page of where it looked.

    With HYDRA_FULL_ERROR=1 in the environment it is a traceback, as ever.

    Args:
        sweeper: as it was asked for, ``hydra/sweeper=NAME``.

    Raises:
        InputError: that line.
    """
    before = os.environ.get(_FULL)
    if before not in (None, "", "0"):
        yield
        return
    os.environ[_FULL] = "1"  # or it would print and end the process by itself
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # of Hydra, OmegaConf and the sweeper's library
        said = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise InputError(f"{sweeper}: {said} ({type(error).__name__})") from None
    finally:
        os.environ.pop(_FULL)
        if before is not None:
            os.environ[_FULL] = before
