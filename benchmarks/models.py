"""Two problems of networks by ``solve``, by betty-ml and by torchopt: the same method, and what it takes in each.

All do StocBiO's iteration: some lower steps, a Neumann sum by autograd, a step of Adam above. Before anything is timed
the opponents follow ours on the same minibatches. The sum's minibatch is the last lower step's in betty-ml, which knows
no other, and in torchopt, where that is the shortest; ours draws one for the Hessian and one for the mixed derivatives,
two minibatches an iteration more, and is handed the last lower step's in the check alone.
"""

from __future__ import annotations

import ast
import io
import logging
import statistics
import tokenize
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from itertools import product
from pathlib import Path

from torch import Tensor
from torch.utils.data import TensorDataset

import models_memory
from batched import Disagreement
from measure import Contestant, Row, interleaved, over
from model_sides import Trained, double, flat, train
from model_tasks import TASKS, Settings, Task, accuracy
from optional import without_betty, without_torchopt
from unibio.core.streams import Draw, Streams

RIVALS = ("betty", "torchopt")
#: What may lie between the same parameters computed in another order, in float64.
TOLERANCE = 1e-10
#: What a side's user writes: files of ``rivals/``.
FILES = {
    "ours": ("models_ours",),
    "betty": ("models_betty", "model_loaders"),
    "torchopt": ("models_torchopt", "model_loaders"),
}


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        sizes: units of the hidden layer, and upper steps.
        repetitions: rounds that are kept.
        lower_steps, upper_steps: the grid that every side searches, on seed 0.
        search_steps: upper steps of a run of the search.
        seeds: on which what was chosen is judged.
        units: of either hidden layer where memory counts.
    """

    sizes: tuple[tuple[int, int], ...] = ((32, 200), (512, 100))
    repetitions: int = 4
    lower_steps: tuple[float, ...] = (0.1, 0.5)
    upper_steps: tuple[float, ...] = (0.01, 0.05, 0.2)
    search_steps: int = 80
    seeds: tuple[int, ...] = (1, 2, 3)
    units: int = models_memory.UNITS


@cache
def missing() -> dict[str, str]:
    """Opponents that are not here, and why."""
    return {who: why for who, why in (("betty", without_betty()), ("torchopt", without_torchopt())) if why}


def rows(scale: Scale) -> dict[str, Row]:
    """Agreement, time an iteration, lines, quality, memory; opponents that are not here are left out with reasons."""
    table = {f"over/models/{who}": Row(None, "×", note=why) for who, why in missing().items()}
    here = [who for who in RIVALS if who not in missing()]
    with quiet():
        for name, make in TASKS.items():
            for who in here:
                table[f"agreement/models/{name}/{who}"] = agree(who, make(8))
            for units, steps in scale.sizes:
                table |= _times(f"models/{name}/{units}", make(units), Settings(steps), here, scale.repetitions)
            table |= {f"models/{name}/quality/{who}": quality(who, make(32), scale) for who in ("ours", *here)}
    return table | _lines(here) | models_memory.rows(scale.units, here)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what the libraries print: a look at the settings, an engine's progress, names of torch that are old."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def agree(who: str, task: Task, steps: int = 4) -> Row:
    """The largest difference between parameters of either level in float64, on the same minibatches.

    Raises:
        Disagreement: it is above the tolerance.
    """
    from rivals import models_ours

    task, s = double(task), Settings(steps, lower_iterations=3, terms=4, batch=64, seed=3)
    problem = models_ours.problem(task, s)
    drawn, sampler = s.lower_iterations + 2, problem.sample_lower

    def the_last_steps(draw: Draw) -> object:
        turn, place = divmod(draw.index, drawn)
        return sampler(replace(draw, index=turn * drawn + min(place, s.lower_iterations - 1)))

    problem.sample_lower = the_last_steps
    ours = models_ours.train(problem, s)
    lower = [turn * drawn + place for turn in range(steps) for place in range(s.lower_iterations)]
    fed = minibatches(task.train, "lower", lower, s), minibatches(task.valid, "upper", range(steps), s)
    theirs = import_module(f"rivals.models_{who}").train(task, s, fed)
    worst = max(float((flat(a) - flat(b)).abs().max()) for a, b in zip(ours, theirs, strict=True))
    if not worst <= TOLERANCE:
        raise Disagreement(f"{who}, {task.what}: ends {worst:g} from ours")
    note = f"parameters of both modules after {steps} iterations"
    return Row(worst, "largest difference", TOLERANCE, f"models/{who}", True, note)


def minibatches(data: TensorDataset, level: str, indices: object, s: Settings) -> list[tuple[Tensor, ...]]:
    """Those that ours draws for a level: images, labels and places."""
    streams = Streams([s.seed])
    places = [Draw(streams, level, index, s.batch).minibatch(len(data))[0] for index in indices]
    return [(*data[place], place) for place in places]


def _times(name: str, task: Task, s: Settings, here: list[str], repetitions: int) -> dict[str, Row]:
    sides: dict[str, Callable[[], Trained]] = {who: lambda who=who: train(who, task, s) for who in ("ours", *here)}
    seconds = interleaved({who: Contestant(work, s.steps) for who, work in sides.items()}, repetitions)
    calls = f"{s.lower_iterations} lower steps, Neumann sum of {s.terms}, batch {s.batch}, float32"
    table = {f"{name}/ours": Row(statistics.median(seconds["ours"]), "s", note=f"{task.what}; {calls}")}
    for who in here:
        table |= over(name, seconds, who, note=f"{task.what}; {calls}")
    return table


def quality(who: str, task: Task, scale: Scale) -> Row:
    """Test accuracy of what is best on validation, of the same grid for everybody, on seeds that nobody searched."""
    base, found = Settings(scale.search_steps), {}
    for lower_step, upper_step in product(scale.lower_steps, scale.upper_steps):
        s = replace(base, lower_step=lower_step, upper_step=upper_step)
        found[s] = accuracy(train(who, task, s)[1], task.valid)
    best = max(found, key=lambda s: found[s])
    judged = [accuracy(train(who, task, replace(best, seed=seed))[1], task.test) for seed in scale.seeds]
    chosen = f"lower step {best.lower_step:g}, upper step {best.upper_step:g}"
    note = (
        f"{len(found)} configurations, {base.steps} iterations each; chosen: {chosen}, {found[best]:.3g} on validation"
    )
    note += f"; {min(judged):.3g}–{max(judged):.3g} over {len(judged)} seeds"
    return Row(statistics.mean(judged), "test accuracy", note=note)


def _lines(here: list[str]) -> dict[str, Row]:
    counts = {who: sum(lines(Path(__file__).parent / "rivals" / f"{name}.py") for name in FILES[who]) for who in FILES}
    said = "without comments, docstrings and empty lines; the modules and losses of the problems are everybody's"
    table = {f"models/lines/{who}": Row(float(counts[who]), "lines", note=said) for who in ("ours", *here)}
    for who in here:
        ratio = counts["ours"] / counts[who]
        table[f"over/models/lines/{who}"] = Row(ratio, "×", None, f"models/lines/{who}", note=f"one count; {said}")
    return table


def lines(path: Path) -> int:
    """Lines of a file with code on them."""
    text = path.read_text(encoding="utf-8")
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    with_code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent:
            with_code |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            with_code -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return len(with_code)
